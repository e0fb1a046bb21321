"""What Python has without gort: one module a peer, each a subject of its own process."""
