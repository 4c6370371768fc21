# programs and files of this folder
