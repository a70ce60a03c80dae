# What other people's clients and conformance suites say of /mcp, by node's own test runner:
# make check-mcp.  Its packages, a Node among them, come with `npm ci` in tests/mcp/ of the source.
check_PROGRAMS += %reldir%/mcp-fixture
