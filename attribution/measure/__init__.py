"""How good an attribution is: retraining on random halves, rank correlation with what was predicted, certificate."""
