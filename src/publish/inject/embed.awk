# SPDX-License-Identifier: MIT
# Writes files as rows of C: { "name", "text" }, for framework.c.
function end_row() { if (name != "") print "\t},"; }
FNR == 1 {
	end_row()
	name = FILENAME
	sub(/.*\//, "", name)
	printf "\t{\n\t\t\"%s\",\n", name
}
{
	gsub(/\\/, "&&")
	gsub(/"/, "\\\\&")
	gsub(/\t/, "\\t")
	printf "\t\t\"%s\\n\"\n", $0
}
END { end_row() }
