"""How things look: formulas, the width of text, colours, highlights."""
