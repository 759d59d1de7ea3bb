// Command proofcheck verifies one proof with the libraries that other chains use, so that tests can compare.
//
// It reads one JSON object on standard input and prints "ok" (status 0) or "fail: REASON" (status 1); a request
// that it cannot read is status 2. Byte strings are hexadecimal.
//
//	proofcheck ics23   {"spec":"tendermint","root":…,"proof":CommitmentProof,"key":…,"value":…}   value null: absence
//	proofcheck merkle  {"root":…,"ops":ProofOps,"keypath":"/x:6162","value":…}                    value null: absence
//
// An ics23 request may carry "spec_proto" (a protobuf ProofSpec) in place of the name of a known spec. A merkle
// request may carry "key" in place of "keypath": the bytes of one key, hex-encoded into the path here. merkle knows
// the operators of CometBFT's default runtime (simple:v).
package main

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/cometbft/cometbft/crypto/merkle"
	"github.com/cometbft/cometbft/proto/tendermint/crypto"
	ics23 "github.com/cosmos/ics23/go"
)

// hexBytes is a byte string written in hexadecimal.
type hexBytes []byte

func (b *hexBytes) UnmarshalJSON(text []byte) error {
	var digits string
	if err := json.Unmarshal(text, &digits); err != nil {
		return err
	}
	decoded, err := hex.DecodeString(digits)
	*b = decoded
	return err
}

// request is what both subcommands read; each uses its own part.
type request struct {
	Spec      string    `json:"spec"`
	SpecProto hexBytes  `json:"spec_proto"`
	Root      hexBytes  `json:"root"`
	Proof     hexBytes  `json:"proof"`
	Ops       hexBytes  `json:"ops"`
	KeyPath   string    `json:"keypath"`
	Key       hexBytes  `json:"key"`
	Value     *hexBytes `json:"value"`
}

// errRequest marks a request that could not be read, as opposed to a proof that does not hold.
var errRequest = errors.New("request")

var specs = map[string]*ics23.ProofSpec{
	"tendermint": ics23.TendermintSpec,
	"iavl":       ics23.IavlSpec,
	"smt":        ics23.SmtSpec,
}

func checkICS23(r request) error {
	spec := specs[r.Spec]
	if len(r.SpecProto) > 0 {
		spec = &ics23.ProofSpec{}
		if err := spec.Unmarshal(r.SpecProto); err != nil {
			return fmt.Errorf("%w: spec_proto: %v", errRequest, err)
		}
	}
	if spec == nil {
		return fmt.Errorf("%w: spec %q is not one of tendermint, iavl, smt", errRequest, r.Spec)
	}
	proof := &ics23.CommitmentProof{}
	if err := proof.Unmarshal(r.Proof); err != nil {
		return fmt.Errorf("proof does not decode: %v", err)
	}
	if r.Value == nil {
		if !ics23.VerifyNonMembership(spec, ics23.CommitmentRoot(r.Root), proof, r.Key) {
			return errors.New("absence does not verify")
		}
		return nil
	}
	if !ics23.VerifyMembership(spec, ics23.CommitmentRoot(r.Root), proof, r.Key, *r.Value) {
		return errors.New("existence does not verify")
	}
	return nil
}

func checkMerkle(r request) error {
	ops := &crypto.ProofOps{}
	if err := ops.Unmarshal(r.Ops); err != nil {
		return fmt.Errorf("ops do not decode: %v", err)
	}
	path := r.KeyPath
	if path == "" {
		path = merkle.KeyPath{}.AppendKey(r.Key, merkle.KeyEncodingHex).String()
	}
	if r.Value == nil {
		return merkle.DefaultProofRuntime().VerifyAbsence(ops, r.Root, path)
	}
	return merkle.DefaultProofRuntime().VerifyValue(ops, r.Root, path, *r.Value)
}

func run(arguments []string, input io.Reader) error {
	checks := map[string]func(request) error{"ics23": checkICS23, "merkle": checkMerkle}
	if len(arguments) != 1 || checks[arguments[0]] == nil {
		return fmt.Errorf("%w: usage: proofcheck ics23|merkle < request.json", errRequest)
	}
	decoder := json.NewDecoder(input)
	decoder.DisallowUnknownFields()
	var r request
	if err := decoder.Decode(&r); err != nil {
		return fmt.Errorf("%w: %v", errRequest, err)
	}
	return checks[arguments[0]](r)
}

func main() {
	err := run(os.Args[1:], os.Stdin)
	switch {
	case err == nil:
		fmt.Println("ok")
	case errors.Is(err, errRequest):
		fmt.Fprintln(os.Stderr, "proofcheck:", err)
		os.Exit(2)
	default:
		fmt.Println("fail:", err)
		os.Exit(1)
	}
}
