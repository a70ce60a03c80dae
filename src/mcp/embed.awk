# SPDX-License-Identifier: MIT
# A text file as a C string: awk -v name=card_html -f embed.awk card.html > card.h
BEGIN {
	print "/* Made by embed.awk; do not edit. */"
	print "#pragma once"
	print "static const char " name "[] ="
}
{
	gsub(/\\/, "\\\\\\\\")
	gsub(/"/, "\\\\\"")
	gsub(/\t/, "\\\\t")
	print "\t\"" $0 "\\n\""
}
END {
	print "\t;"
}
