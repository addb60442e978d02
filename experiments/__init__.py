"""The paper's figures, made again: one folder each. They import the library, never the reverse."""
