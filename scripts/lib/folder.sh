# Sourced: makes the folder of the tools that scripts get. The project's own folder is closed to others only when it is
# made here: a fleet that runs may have let its database's user through it.
[ -d .flotilla ] || mkdir -m 700 .flotilla
mkdir -p .flotilla/tools
