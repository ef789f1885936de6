"""Where cards, wires and labels go."""
