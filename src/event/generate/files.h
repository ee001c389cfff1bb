// SPDX-License-Identifier: Apache-2.0
//
// Directories and files as the generator reads them: sorted, so that what it does depends on no
// file system.
#ifndef ORDERLOG_EVENT_GENERATE_FILES_H
#define ORDERLOG_EVENT_GENERATE_FILES_H

#include <dirent.h>
#include <stddef.h>

// The whole file, or exit with a message.
char *files_read(const char *path, size_t *ret_len);

// What is in the directory but for hidden files, or only its .avsc files; -1 when there is no such
// directory. Other troubles exit with a message.
int files_list(const char *dir, struct dirent ***ret);
int files_list_schemas(const char *dir, struct dirent ***ret);

#endif
