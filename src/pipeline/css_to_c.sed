# A text file as lines of C string literals. (In a file: Meson turns backslashes in commands into slashes.)
s/\\/\\\\/g
s/"/\\"/g
s/.*/"&\\n",/
