/* SPDX-License-Identifier: MIT */
/*
 * Logs on a terminal: the sequences of ECMA-48 are taken apart, a byte at a time, for they come in
 * pieces.  What is no UTF-8 becomes "?": to some terminals its bytes are control characters.
 */
#include "ctl/logtext.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define ESCAPE 0x1b
#define BELL   0x07

/* Longer ones set no colours. */
#define SEQUENCE_MAX 64

enum state {
	TEXT,
	ESCAPED,  /* behind ESC */
	SEQUENCE, /* behind ESC [, up to its final byte */
	STRING,   /* behind ESC ] and the like, up to BEL or ESC \ */
	STRING_ESCAPED,
	CHARSET, /* behind ESC ( and the like: one byte more */
};

struct logtext {
	FILE *to;
	bool colors;
	bool is_colored;
	enum state state;
	char sequence[SEQUENCE_MAX + 1]; /* what it is made of so far */
	size_t length;
	unsigned char character[4]; /* of UTF-8, so far */
	unsigned n, wanted;
};

static void end_sequence(struct logtext *l, unsigned char final)
{
	l->state = TEXT;
	if (!l->colors || final != 'm' || l->length == SEQUENCE_MAX)
		return;
	l->sequence[l->length] = '\0';
	if (strspn(l->sequence, "0123456789;:") != l->length)
		return;
	fprintf(l->to, "\033[%sm", l->sequence);
	l->is_colored = true;
}

static void drop_character(struct logtext *l)
{
	if (l->n > 0)
		putc('?', l->to);
	l->n = l->wanted = 0;
}

static void take_continuation(struct logtext *l, unsigned char byte)
{
	if (l->n == 0) {
		putc('?', l->to);
		return;
	}
	l->character[l->n++] = byte;
	if (l->n < l->wanted)
		return;
	/* U+0080 to U+009F: U+009B is as good as ESC [ to some. */
	if (l->character[0] == 0xc2 && l->character[1] < 0xa0)
		putc('?', l->to);
	else
		fwrite(l->character, 1, l->n, l->to);
	l->n = l->wanted = 0;
}

static void take_text(struct logtext *l, unsigned char byte)
{
	if (byte >= 0x80 && byte < 0xc0) {
		take_continuation(l, byte);
		return;
	}
	drop_character(l);
	if (byte >= 0xc2 && byte < 0xf5) {
		l->wanted = byte < 0xe0 ? 2 : byte < 0xf0 ? 3 : 4;
		l->character[l->n++] = byte;
	} else if (byte >= 0x80) {
		putc('?', l->to);
	} else if (byte == ESCAPE) {
		l->state = ESCAPED;
	} else if ((byte >= 0x20 && byte != 0x7f) || byte == '\n' || byte == '\t' || byte == '\r') {
		putc(byte, l->to);
	}
}

static void take_escaped(struct logtext *l, unsigned char byte)
{
	l->length = 0;
	if (byte == '[')
		l->state = SEQUENCE;
	else if (memchr("]PX^_k", byte, 6))
		l->state = STRING;
	else if (byte >= 0x20 && byte < 0x30)
		l->state = CHARSET;
	else
		l->state = byte == ESCAPE ? ESCAPED : TEXT;
}

/* A string that nobody ends ends with its line, or all that follows were lost. */
static void take_string(struct logtext *l, unsigned char byte)
{
	if (l->state == STRING_ESCAPED && byte != ESCAPE) {
		l->state = byte == '\\' ? TEXT : STRING;
	} else if (byte == BELL || byte == '\n') {
		l->state = TEXT;
		if (byte == '\n')
			putc(byte, l->to);
	} else {
		l->state = byte == ESCAPE ? STRING_ESCAPED : STRING;
	}
}

static void take_byte(struct logtext *l, unsigned char byte)
{
	switch (l->state) {
	case TEXT:
		take_text(l, byte);
		break;
	case ESCAPED:
		take_escaped(l, byte);
		break;
	case SEQUENCE:
		if (byte >= 0x40 && byte < 0x7f)
			end_sequence(l, byte);
		else if (byte < 0x20 || byte >= 0x7f) {
			l->state = TEXT; /* none */
			take_text(l, byte);
		} else if (l->length < SEQUENCE_MAX)
			l->sequence[l->length++] = (char)byte;
		break;
	case STRING:
	case STRING_ESCAPED:
		take_string(l, byte);
		break;
	case CHARSET:
		l->state = byte >= 0x20 && byte < 0x30 ? CHARSET : TEXT;
		break;
	}
}

static ssize_t on_write(void *cookie, const char *bytes, size_t len)
{
	struct logtext *l = cookie;

	for (size_t i = 0; i < len; i++)
		take_byte(l, (unsigned char)bytes[i]);
	return fflush(l->to) != 0 || ferror(l->to) ? 0 : (ssize_t)len;
}

static int on_close(void *cookie)
{
	struct logtext *l = cookie;

	drop_character(l);
	if (l->is_colored)
		fputs("\033[0m", l->to);
	free(l);
	return 0;
}

FILE *logtext_stream(FILE *to, bool colors)
{
	const cookie_io_functions_t functions = { .write = on_write, .close = on_close };
	struct logtext *l = xcalloc(1, sizeof(*l));
	FILE *f;

	l->to = to;
	l->colors = colors;
	f = fopencookie(l, "w", functions);
	if (!f)
		free(l);
	return f;
}
