/* LLVM's unwinder in Debian was compiled against glibc with _FORTIFY_SOURCE. This is the one function of glibc's own that it
   calls; musl has none. It writes the unwinder's last words before it ends the program. */
#include <stdarg.h>
#include <stdio.h>

int __fprintf_chk(FILE *to, int flag, const char *form, ...)
{
	va_list values;
	int written;

	(void)flag;
	va_start(values, form);
	written = vfprintf(to, form, values);
	va_end(values);
	return written;
}
