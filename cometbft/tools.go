//go:build tools

// Package tools keeps the requirement on the CometBFT command in go.mod.
package tools

import _ "github.com/cometbft/cometbft/cmd/cometbft"
