# boot.sh DIR SEED NAME: boots systemd on an overlay of this machine's own
# root. It is PID 1 of namespaces of its own, so that every mount and process
# below vanishes with it; only DIR/out, the host's /out, stays.
set -euo pipefail
dir=$1 seed=$2 name=$3 root=$1/mnt/root

# cgroups of our own: nspawn makes its tree below the one it runs in.
while read -r _ _ _ _ mount _ rest; do
  case $rest in
    *"- cgroup2 "*) at=$(sed -n 's/^0:://p' /proc/self/cgroup) ;;
    *"- cgroup "*name=systemd*) at=$(sed -n 's/^[0-9]*:name=systemd://p' /proc/self/cgroup) ;;
    *) continue ;;
  esac
  [ -d "$mount$at" ] || at=/
  mkdir -p "$mount${at%/}/$name"
  echo "$mount${at%/}/$name" >>"$dir/cgroups"
  echo 0 >"$mount${at%/}/$name/cgroup.procs"
done </proc/self/mountinfo

mkdir -p -m 777 "$dir/out"
mkdir "$dir/mnt"
mount -t tmpfs -o size=500m,mode=755 tmpfs "$dir/mnt"
mkdir "$dir/mnt/upper" "$dir/mnt/work" "$root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$dir/mnt/upper,workdir=$dir/mnt/work" "$root"
rm -rf "$root"/etc/systemd/system "$root"/run/*
mkdir -p "$root"/etc/systemd/system
: >"$root/etc/fstab"
systemd-id128 new >"$root/etc/machine-id"
cp -a "$seed"/. "$root"/

# nspawn keeps locks here; they must not outlive us.
mkdir -p /run/systemd/nspawn
mount -t tmpfs tmpfs /run/systemd/nspawn
SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1 exec systemd-nspawn -q -D "$root" --boot --notify-ready=yes \
  --bind="$dir/out:/out" --register=no --keep-unit --machine="$name" --private-network \
  --link-journal=no --kill-signal=SIGRTMIN+4 systemd.unit=multi-user.target
