# cmake -DOUTPUT=files.c -DFILES=a;b -P embed.cmake: write files.c, the table of files.h, with the path,
# the content type and the bytes of each file.
set(type_html "text/html; charset=utf-8")
set(type_css "text/css; charset=utf-8")
set(type_js "text/javascript; charset=utf-8")

set(arrays "")
set(rows "")
foreach(file IN LISTS FILES)
    get_filename_component(name ${file} NAME)
    string(REGEX REPLACE "^.*\\." "" extension ${name})
    if(NOT DEFINED type_${extension})
        message(FATAL_ERROR "${name}: no content type is known for .${extension}")
    endif()
    string(MAKE_C_IDENTIFIER ${name} symbol)
    file(READ ${file} hex HEX)
    string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${hex}")
    # Lines of 32 bytes: some tools do not like a line of 100 kB.
    string(REGEX REPLACE "((0x..,){32})" "\\1\n    " bytes "${bytes}")
    string(APPEND arrays "static const uint8_t ${symbol}[] = {\n    ${bytes}\n};\n\n")
    string(APPEND rows
        "    {\"/${name}\", \"${type_${extension}}\", {${symbol}, sizeof(${symbol})}},\n")
endforeach()
file(WRITE ${OUTPUT} "/* files.c - made from src/web/page by embed.cmake. */
#include \"files.h\"

${arrays}const struct web_file web_files[] = {
${rows}};
const size_t web_file_count = sizeof(web_files) / sizeof(web_files[0]);
")
