"""The inside of a USID file: attributes, ancillaries, main datasets, and the list of all of them."""
