# One set of flags for all own code. ns-3 3.37's headers need C++17 with GCC 12.
set(CMAKE_CXX_STANDARD 17)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(Python_EXECUTABLE /usr/bin/python3 CACHE FILEPATH "Debian's Python: the only one with the packages")

add_library(foreflow_flags INTERFACE)
# -ffp-contract=off: the same products and sums on every compiler and level, hence the same fingerprint.
# -fno-tree-slp-vectorize: writes and reads that lie side by side stay as wide as they were written down. Merged ones
# of another width than their counterparts elsewhere wait for the store buffer, on nearly every line of the data path.
# -fno-semantic-interposition: position-independent code may inline what it defines itself.
target_compile_options(foreflow_flags INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Werror -ffp-contract=off -fno-semantic-interposition
  -fno-tree-slp-vectorize)
target_include_directories(foreflow_flags INTERFACE ${CMAKE_SOURCE_DIR})
if(FOREFLOW_SANITIZE)
  target_compile_options(foreflow_flags INTERFACE
    -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer)
  target_link_options(foreflow_flags INTERFACE -fsanitize=address,undefined)
endif()

find_program(CCACHE_PROGRAM ccache)
if(CCACHE_PROGRAM AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CCACHE_PROGRAM})
endif()
