"""`openledger account`: what an account has locked, what can be taken out, and who receives for it."""
