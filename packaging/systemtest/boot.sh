# boot.sh DIR SEED NAME: runs as PID 1 of namespaces of its own, so that every
# mount and process below vanishes with it, whatever it is that ends it.
set -euo pipefail
dir=$1 seed=$2 name=$3 root=$1/mnt/root

# cgroups of our own: nspawn makes its tree below the one it runs in, and two
# hosts may run at once. 0 is the writing process itself.
while read -r _ _ _ _ mount _ rest; do
  case $rest in
    *"- cgroup2 "*) at=$(sed -n 's/^0:://p' /proc/self/cgroup) ;;
    *"- cgroup "*name=systemd*) at=$(sed -n 's/^[0-9]*:name=systemd://p' /proc/self/cgroup) ;;
    *) continue ;;
  esac
  # Outside our mounts' root, as in some containers: as high as we see.
  [ -d "$mount$at" ] || at=/
  mkdir -p "$mount${at%/}/$name"
  echo "$mount${at%/}/$name" >>"$dir/cgroups"
  echo 0 >"$mount${at%/}/$name/cgroup.procs"
done </proc/self/mountinfo

# The machine's own system is the lower layer and stays as it is.
mount -t tmpfs -o size=2g,mode=755 tmpfs "$dir/mnt"
mkdir "$dir/mnt/upper" "$dir/mnt/work" "$root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$dir/mnt/upper,workdir=$dir/mnt/work" "$root"
# Nothing of what the administrator of this machine has enabled.
rm -rf "$root"/etc/systemd/system "$root"/var/log/journal "$root"/run/*
mkdir -p "$root"/etc/systemd/system "$root"/var/log/journal
: >"$root/etc/fstab"
systemd-id128 new >"$root/etc/machine-id"
echo "$name" >"$root/etc/hostname"
[ -z "$seed" ] || cp -a "$seed"/. "$root"/
# All of that is in memory. What is written below /srv/disk is on a disk.
mkdir "$dir/disk"
chmod 755 "$dir/disk"

# nspawn keeps locks here; they must not outlive us.
mkdir -p /run/systemd/nspawn
mount -t tmpfs tmpfs /run/systemd/nspawn
# SIGRTMIN+4 asks systemd to power off.
SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1 exec systemd-nspawn -q -D "$root" --boot --notify-ready=yes \
  --register=no --keep-unit --machine="$name" --private-network --link-journal=no --bind="$dir/disk:/srv/disk" \
  --kill-signal=SIGRTMIN+4 systemd.unit=multi-user.target
