"""`porchlight model quantize`: an int8 form of a model, of pictures of the house, kept where it sees the same."""
