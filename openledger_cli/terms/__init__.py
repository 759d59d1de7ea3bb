"""`openledger terms`: licences by name, and own terms in words."""
