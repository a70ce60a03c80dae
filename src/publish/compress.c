/* SPDX-License-Identifier: MIT */
/* Brotli and gzip, where configure found them. */
#include "publish/compress.h"

#include <stdint.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/mem.h"

#ifdef HAVE_BROTLI
#include <brotli/encode.h>

#define BROTLI_QUALITY 9

bool compress_brotli(const char *text, size_t len, struct strbuf *out)
{
	size_t size = BrotliEncoderMaxCompressedSize(len);
	scoped(freep) uint8_t *data = size > 0 ? xcalloc(1, size) : NULL;

	if (!data || !BrotliEncoderCompress(BROTLI_QUALITY, BROTLI_DEFAULT_WINDOW, BROTLI_MODE_TEXT,
					    len, (const uint8_t *)text, &size, data))
		return false;
	strbuf_add(out, data, size);
	return out->error == 0;
}
#else
bool compress_brotli(const char *text, size_t len, struct strbuf *out)
{
	(void)text;
	(void)len;
	(void)out;
	return false;
}
#endif

#ifdef HAVE_ZLIB
#include <zlib.h>

#define GZIP_WINDOW                                                                   \
	(15 + 16) /* the largest, with gzip's header: without a time, so reproducible \
		   */
#define GZIP_MEMORY 9

bool compress_gzip(const char *text, size_t len, struct strbuf *out)
{
	z_stream z = { .next_in = (Bytef *)(uintptr_t)text, .avail_in = (uInt)len };
	scoped(freep) Bytef *data = NULL;
	int r;

	if (len > UINT32_MAX || deflateInit2(&z, Z_BEST_COMPRESSION, Z_DEFLATED, GZIP_WINDOW,
					     GZIP_MEMORY, Z_DEFAULT_STRATEGY) != Z_OK)
		return false;
	z.avail_out = (uInt)deflateBound(&z, len);
	data = xcalloc(1, z.avail_out);
	z.next_out = data;
	r = deflate(&z, Z_FINISH);
	deflateEnd(&z);
	if (r != Z_STREAM_END)
		return false;
	strbuf_add(out, data, z.total_out);
	return out->error == 0;
}
#else
bool compress_gzip(const char *text, size_t len, struct strbuf *out)
{
	(void)text;
	(void)len;
	(void)out;
	return false;
}
#endif
