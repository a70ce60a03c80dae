/* SPDX-License-Identifier: MIT */
/*
 * Why a sandbox can't be had, and what to do: one row a cause, the first that fits is told. bwrap
 * says what failed, and the host's settings say why.
 */
#include "proc/sandbox_priv.h"

#include "base/files.h"
#include "base/mem.h"
#include "proc/inside.h"

#include <fcntl.h>
#include <string.h>

#define FILE_SIZE_MAX 4096
#define SAID_MAX      200 /* of bwrap's own words, in the sentence */

struct cause {
	bool (*fits)(const struct sandbox_facts *f);
	const char *sentence;
};

static bool says(const struct sandbox_facts *f, const char *words)
{
	return f->said && strstr(f->said, words);
}

static bool lacks_seccomp(const struct sandbox_facts *f)
{
	return !f->has_seccomp;
}

static bool lacks_inside(const struct sandbox_facts *f)
{
	return !f->has_inside;
}

static bool lacks_bwrap(const struct sandbox_facts *f)
{
	return !f->has_bwrap;
}

static bool is_old_bwrap(const struct sandbox_facts *f)
{
	return says(f, "Unknown option");
}

/* Of all that a user namespace is needed for. */
static bool denies_namespace(const struct sandbox_facts *f)
{
	return says(f, "namespace") || says(f, "uid map") || says(f, "gid map") ||
	       says(f, "RTM_NEWADDR") || says(f, "RTM_NEWLINK") || says(f, "setting up") ||
	       says(f, "/ slave") || says(f, "pivot_root");
}

static bool is_restricted_by_apparmor(const struct sandbox_facts *f)
{
	return f->apparmor_restricts > 0 && !f->is_container && denies_namespace(f);
}

static bool is_off_by_debian_switch(const struct sandbox_facts *f)
{
	return f->userns_clone == 0 && !f->is_root && denies_namespace(f);
}

static bool has_no_user_namespaces(const struct sandbox_facts *f)
{
	return f->userns_max == 0 && denies_namespace(f);
}

static bool has_masked_proc(const struct sandbox_facts *f)
{
	return says(f, "mount proc");
}

static bool is_container_that_denies(const struct sandbox_facts *f)
{
	return f->is_container && denies_namespace(f);
}

static bool is_unit_that_denies(const struct sandbox_facts *f)
{
	return f->is_unit && (denies_namespace(f) || says(f, "make the sandbox ready"));
}

static bool denies_namespaces_all_the_same(const struct sandbox_facts *f)
{
	return denies_namespace(f);
}

static bool fits_any(const struct sandbox_facts *f)
{
	(void)f;
	return true;
}

/* clang-format off */
static const struct cause causes[] = {
	{ lacks_seccomp,
	  "previewd was built without libseccomp: install libseccomp-dev (Debian, Ubuntu) or "
	  "libseccomp-devel (Fedora) and build it again" },
	{ lacks_inside,
	  INSIDE_PROGRAM " is not in " PKGLIBEXECDIR ": install previewd again, whole" },
	{ lacks_bwrap,
	  "bwrap is not installed: apt install bubblewrap (Debian, Ubuntu), dnf install bubblewrap "
	  "(Fedora), pacman -S bubblewrap (Arch), apk add bubblewrap (Alpine)" },
	{ is_old_bwrap,
	  "bubblewrap is too old: 0.8 or newer is needed" },
	{ is_restricted_by_apparmor,
	  "AppArmor keeps user namespaces from bwrap: give it a profile (printf 'abi <abi/4.0>,\\n"
	  "include <tunables/global>\\nprofile bwrap /usr/bin/bwrap flags=(unconfined) {\\n  "
	  "userns,\\n}\\n' >/etc/apparmor.d/bwrap && systemctl reload apparmor), or allow them to "
	  "all programs (sysctl kernel.apparmor_restrict_unprivileged_userns=0)" },
	{ is_off_by_debian_switch,
	  "user namespaces are off for ordinary users: sysctl kernel.unprivileged_userns_clone=1 "
	  "(and the same line in /etc/sysctl.d/, to keep it)" },
	{ has_no_user_namespaces,
	  "this machine allows no user namespaces: sysctl user.max_user_namespaces=15000 (and the "
	  "same line in /etc/sysctl.d/, to keep it)" },
	{ has_masked_proc,
	  "the container's /proc is masked, so that the sandbox can't have one of its own: start "
	  "the container with --security-opt systempaths=unconfined (Docker) or --security-opt "
	  "unmask=ALL (Podman)" },
	{ is_container_that_denies,
	  "the container does not let its programs make namespaces: start it with --security-opt "
	  "seccomp=unconfined --security-opt apparmor=unconfined --security-opt "
	  "systempaths=unconfined (Docker), or --security-opt seccomp=unconfined --security-opt "
	  "unmask=ALL (Podman); in Kubernetes, with seccompProfile Unconfined and procMount Unmasked" },
	{ is_unit_that_denies,
	  "the unit that runs previewd keeps from it what builds need: " PKGDATADIR
	  "/systemd/builds.conf allows it, copied into "
	  "/etc/systemd/system/previewd.service.d/ (then systemctl daemon-reload, and restart it)" },
	{ denies_namespaces_all_the_same,
	  "bwrap may not make namespaces here: look for RestrictNamespaces= in the unit that runs "
	  "previewd, and for a policy of SELinux or AppArmor in the journal" },
	{ fits_any,
	  "bwrap does not work here" },
};
/* clang-format on */

/* The first SAID_MAX bytes of what is longer, up to its last whole word there. */
static char *cut_at_word(const char *text)
{
	const char *end = memrchr(text, ' ', SAID_MAX + 1);
	size_t len = end ? (size_t)(end - text) : SAID_MAX;

	/* One long word: not within one of its characters. */
	while (!end && len > 0 && ((unsigned char)text[len] & 0xc0) == 0x80)
		len--;
	return xasprintf("%.*s …", (int)len, text);
}

/* What it said last, in a line. */
static char *last_words(const char *said)
{
	size_t len = said ? strlen(said) : 0;
	const char *start;

	while (len > 0 && (said[len - 1] == '\n' || said[len - 1] == '\r'))
		len--;
	if (len == 0)
		return NULL;
	start = memrchr(said, '\n', len);
	start = start ? start + 1 : said;
	len -= (size_t)(start - said);
	return len <= SAID_MAX ? xstrndup(start, len) : cut_at_word(start);
}

char *sandbox_remedy(const struct sandbox_facts *f)
{
	const struct cause *cause = causes;
	scoped(freep) char *words = NULL;

	while (!cause->fits(f))
		cause++;
	/* It wasn't asked where the fault is before it. */
	if (f->has_seccomp && f->has_inside && f->has_bwrap)
		words = last_words(f->said);
	if (!words)
		return xstrdup(cause->sentence);
	return xasprintf("%s. It said: %s", cause->sentence, words);
}

/* ---- the host ---- */

/* A number that a file holds, or `none` where there is no such file. */
static int number_in(const char *path, int none)
{
	scoped(freep) char *text = NULL;

	if (read_file_at(AT_FDCWD, path, FILE_SIZE_MAX, &text, NULL) < 0)
		return none;
	return atoi(text);
}

/* Docker, Podman, and what sets the variable that systemd looks at. */
static bool in_container(void)
{
	return access("/.dockerenv", F_OK) == 0 || access("/run/.containerenv", F_OK) == 0 ||
	       access("/run/systemd/container", F_OK) == 0 ||
	       access("/var/run/secrets/kubernetes.io", F_OK) == 0 || getenv("container");
}

void sandbox_facts_read(struct sandbox_facts *f)
{
	f->userns_clone = number_in("/proc/sys/kernel/unprivileged_userns_clone", -1);
	f->userns_max = number_in("/proc/sys/user/max_user_namespaces", -1);
	f->apparmor_restricts =
		number_in("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", -1);
	f->is_container = in_container();
	f->is_unit = getenv("INVOCATION_ID");
	f->is_root = geteuid() == 0;
}
