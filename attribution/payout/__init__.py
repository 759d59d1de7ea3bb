"""From scores and spans to shares: clusters of copies, shares of a layer, shares over all layers."""
