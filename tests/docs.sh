#!/bin/sh
# What is written about the program agrees with it.  Runs in the build's top directory, like all tests.
# shellcheck disable=SC2154,SC2016 # srcdir comes from the makefile; backquotes of Markdown
n=0
echo 1..8

# promise WHAT LIST: it is kept when the list of what breaks it is empty.
promise() {
	n=$((n + 1))
	if [ -z "$2" ]; then
		echo "ok $n - $1"
	else
		echo "# $2" | tr '\n' ' '
		echo
		echo "not ok $n - $1"
	fi
}

options() {
	sed -n 's/^OPTION(\([a-z_]*\), *\([a-z_]*\),.*/\2/p' "$srcdir/src/config/options.def"
}

promise "every option is in the sample file and in previewd.conf(5)" "$(options | while read -r key; do
	grep -q "^#$key =" etc/previewd.conf.sample || echo "$key"
	grep -q "^.It Ic $key\$" src/config/previewd.conf.5 || echo "$key"
done)"

promise "each section of the settings stands once" \
	"$(sed -n 's/^\.Ss The \(\[.*\]\) section$/\1/p' src/config/previewd.conf.5 | sort | uniq -d)"

promise "every route is in previewd(8)" \
	"$(sed -n 's/^ROUTE([a-z_]*, *"\([A-Z]*\)", *"\([^"]*\)".*/\1 \2/p' "$srcdir/src/api/routes.def" |
		while read -r method pattern; do
			sed 's/\\-/-/g' src/daemon/previewd.8 | grep -qxF ".It Li $method $pattern" || echo "$method $pattern"
		done)"

promise "every previewctl command in README.md is one" \
	"$(sed -n 's/.*previewctl \([a-z][a-z]*\).*/\1/p' "$srcdir/README.md" | sort -u | while read -r command; do
		./previewctl help "$command" >/dev/null 2>&1 || echo "$command"
	done)"

promise "what README.md has an ordinary user start is on an ordinary user's PATH" \
	"$(for program in previewd previewctl; do
		grep "^bin_PROGRAMS = " Makefile | grep -q "\<$program\>" || echo "$program"
	done)"

promise "every folder of src/ has a row in src/README.md, and one only" "$(for folder in "$srcdir"/src/*/; do
	folder=$(basename "$folder")
	[ "$(grep -c "^| \`$folder/\` |" "$srcdir/src/README.md")" = 1 ] || echo "$folder"
done)"

promise "every folder in src/README.md is in src/" \
	"$(sed -n 's/^| `\([a-z]*\)\/` .*/\1/p' "$srcdir/src/README.md" | while read -r folder; do
		[ -d "$srcdir/src/$folder" ] || echo "$folder"
	done)"

promise "every file that src/README.md names is in src/" \
	"$(grep -o '`[a-z][a-zA-Z0-9_/.-]*\.[chdefjs]*`' "$srcdir/src/README.md" | tr -d '`' | grep -E '\.(c|h|def|js)$' | sort -u |
		while read -r file; do
			[ -n "$(find "$srcdir/src" -path "*/$file" -print -quit)" ] || echo "$file"
		done)"
