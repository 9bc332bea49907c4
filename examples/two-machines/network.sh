# Two machines and a wire between them, as far as the network goes: this shell's own namespace is
# "near", with 10.7.7.1, and "far" has 10.7.7.2. Then runs what it was given, on "near". Run inside of
# `unshare --net --mount`, it leaves nothing behind.
set -e
mount -t tmpfs none /run
ip netns add far
ip link add wire type veth peer name wire netns far
ip link set lo up
ip addr add 10.7.7.1/24 dev wire
ip link set wire up
ip -n far link set lo up
ip -n far addr add 10.7.7.2/24 dev wire
ip -n far link set wire up
exec "$@"
