"""`python -m noncoder` is `noncoder`."""

from noncoder.cli import main

main()
