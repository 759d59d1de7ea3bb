"""`openledger validator`: the life of a validator, from its application to the end of its bond."""
