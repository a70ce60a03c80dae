# src/bus: see src/README.md
