"""Named measurement modes: what a microscopist asks of each, made of the verbs beside it."""
