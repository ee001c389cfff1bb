# SPDX-License-Identifier: Apache-2.0
# Writes every .sql file under a folder into one C source, so that the program carries its own
# read models:  cmake -D ROOT=projections -D OUTPUT=projection_files.c -P embed.cmake
file(GLOB_RECURSE files RELATIVE ${ROOT} ${ROOT}/*.sql)
list(SORT files)

set(texts "")
set(rows "")
set(index 0)
foreach(file ${files})
  file(READ ${ROOT}/${file} hex HEX)
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${hex}")
  string(APPEND texts "static const char text_${index}[] = {${bytes}0};\n")
  string(APPEND rows "    {\"${file}\", text_${index}, sizeof(text_${index}) - 1},\n")
  math(EXPR index "${index} + 1")
endforeach()

file(WRITE ${OUTPUT}.new "// Made from projections/ by embed.cmake.
#include \"store/projection_files.h\"

${texts}
const struct projection_file projection_files[] = {
${rows}};
const size_t projection_files_count = ${index};
")
configure_file(${OUTPUT}.new ${OUTPUT} COPYONLY)
