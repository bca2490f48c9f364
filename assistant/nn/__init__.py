"""The networks, and nothing but them: pure functions of tensors, with named state."""
