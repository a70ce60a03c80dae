# src/net: see src/README.md
