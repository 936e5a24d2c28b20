"""What a version is published as: wheel, chart, images, lists of their parts, and where they come from.

`python -m rig.release` (`make release`) writes it to `dist/`, made of the commit that is checked out. Two runs for
one commit and one state of Debian write the same bytes.
"""
