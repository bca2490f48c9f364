"""From a command file to sentences, phonemes and the graph that is searched for them."""
