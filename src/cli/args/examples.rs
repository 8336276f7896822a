//! What the help of a command ends with.

pub(super) const IMAGE_EXAMPLES: &str = "\
Examples:
  vsbuild image hello                 into out/hello/ of the project
  vsbuild image hello --out /tmp      into /tmp/hello/
  vsbuild image hello --layout vswarm-u
                                      into out/hello-vswarm-u/, for a gem5 script of vSwarm-u's
  vsbuild image hello --json          paths, sizes and digests for a program";

pub(super) const BUILD_EXAMPLES: &str = "\
Examples:
  vsbuild build hello-rootfs             prints the manifest of the tree, in the store
  vsbuild build guest --out guest        and copies the files to guest/
  vsbuild build linux-6.1 --keep-failed  to look around with vsbuild shell if it fails";

pub(super) const RUN_EXAMPLES: &str = "\
Examples:
  vsbuild run hello                                      boot it and see its container's output
  vsbuild run functions --function aes-go --warm 5       call a function, 5 + 10 times
  vsbuild run functions --all --cores 2 --json           call every function, for a program

On gem5, which boots, warms the function up, takes checkpoints, and measures:
  vsbuild run hello --on gem5 --gem5 gem5.opt
  vsbuild run functions --on gem5 --function fibonacci-python --cpu o3 --warm 20 --invocations 10
  vsbuild run functions --on gem5 --all --machine skylake --invocations 10";

pub(super) const REPORT_EXAMPLES: &str = "\
Examples:
  vsbuild report runs/functions/aes-go             report.html, .csv and .json beside the run
  vsbuild report runs/functions -o report          all runs of an image on one page
  vsbuild report --compare before after -o report  what changed, in numbers and percent";

pub(super) const LINT_EXAMPLES: &str = "\
Exit codes:
  0  it can run there; there may be warnings
  2  it cannot, as it is: there are errors

Examples:
  vsbuild lint hello             what is wrong, a few places of each kind
  vsbuild lint functions --all   every place
  vsbuild lint hello --json      for a program";

pub(super) const LOCK_EXAMPLES: &str = "\
Examples:
  vsbuild lock                     pin what recipes newly ask for, leave all else as it is
  vsbuild lock --update            move everything on to what the archives have today
  vsbuild lock --update runc       move on only this package, or a recipe's packages
  vsbuild lock --outputs hello     record what hello comes to, for vsbuild verify";

pub(super) const CONFORMANCE_EXAMPLES: &str = "\
Examples:
  vsbuild conformance --gem5 build/X86/gem5.opt          a table of what it gets wrong
  vsbuild conformance --gem5 gem5.opt --known            no failure for faults that are known
  vsbuild conformance --gem5 gem5.opt --only xchg --all  every wrong case of one instruction";

pub(super) const GRAPH_EXAMPLES: &str = "\
Examples:
  vsbuild graph hello
  vsbuild graph hello --format dot | dot -Tsvg > hello.svg";

pub(super) const WHY_EXAMPLES: &str = "\
Examples:
  vsbuild why hello libc6          how a package came in
  vsbuild why hello linux-6.1      how a recipe came in";

pub(super) const CHALLENGE_EXAMPLES: &str = "\
Exit codes:
  0  nothing differs, of what both sides made
  4  something differs, or the cache has a statement that was tampered with
  5  the cache cannot be reached

Examples:
  vsbuild challenge https://cache.other-lab         all images that the lockfile has hashes of
  vsbuild challenge s3://lab-cache/vsbuild hello    one image, or another recipe
  vsbuild challenge /srv/cache hello --rebuild      build it anew for that
  vsbuild challenge /srv/cache --json               for a program";

pub(super) const PUSH_EXAMPLES: &str = "\
Examples:
  vsbuild cache push functions --to s3://lab-cache/vsbuild
  vsbuild cache push hello functions --to /srv/cache --with-inputs
  vsbuild cache push hello --to https://cache.lab.example --key lab.key --json";

pub(super) const PULL_EXAMPLES: &str = "\
Exit codes:
  0  all is in the store now
  4  builders who are trusted do not agree
  5  the cache cannot be reached, or lacks something

Examples:
  vsbuild cache pull functions --from s3://lab-cache/vsbuild
  vsbuild cache pull hello --from https://cache.lab.example --trusted-key lab-a:BASE64
  vsbuild cache pull hello --from /srv/cache --with-inputs --with-images --out images";

pub(super) const CACHE_GC_EXAMPLES: &str = "\
Examples:
  vsbuild cache gc /srv/cache --older-than 30d --dry-run
  vsbuild cache gc s3://lab-cache/vsbuild --max-size 100G";

pub(super) const DIFF_EXAMPLES: &str = "\
Exit codes:
  0  nothing differs
  4  something differs

Examples:
  vsbuild diff hello functions                        two images of this project
  vsbuild diff ../other-lab#hello hello               the same image of two projects
  vsbuild diff old.img out/hello/disk.img             two disks, whoever made them
  vsbuild diff hello foreign.img#2 --ignore time      an image, and partition 2 of a disk
  vsbuild diff lockfile.toml ../other/lockfile.toml   what is pinned otherwise
  vsbuild diff hello old.img --json                   for a program, as docs/diff.md has it";

pub(super) const SERVE_EXAMPLES: &str = "\
Examples:
  vsbuild cache serve /srv/cache                                      on this machine, to be read only
  vsbuild cache serve /srv/cache --listen 0.0.0.0:8470 --tokens tokens --key lab-a:BASE64
  vsbuild cache serve /srv/cache --config /etc/vsbuild/serve.toml     as docs/serve.md shows";

pub(super) const SBOM_EXAMPLES: &str = "\
Examples:
  vsbuild sbom hello -o hello.spdx.json
  vsbuild sbom functions --format cyclonedx -o functions.cdx.json

The same image has the same bill, byte for byte, wherever it is written.";

pub(super) const EXPORT_EXAMPLES: &str = "\
Examples:
  vsbuild export hello -o artifact.tar --key ~/lab.key     with what was built, signed
  vsbuild export hello -o artifact.tar --source-only       only what it is built from
  vsbuild export hello functions -o artifact.tar           two images in one bundle

The same project and store give the same bundle, byte for byte. docs/artifacts.md has it step by step.";

pub(super) const IMPORT_EXAMPLES: &str = "\
Examples:
  vsbuild import artifact.tar                               into ./artifact
  vsbuild import artifact.tar --to paper
  vsbuild import artifact.tar --trust-bundle-key 0123456789abcdef

Then, in that directory and without a network: vsbuild image NAME, vsbuild verify NAME.";

pub(super) const VENDOR_EXAMPLES: &str = "\
Examples:
  vsbuild vendor                  all that the lockfile names, into vendor/
  vsbuild vendor hello            what one image needs
  vsbuild vendor --check          is all there, and what it should be?
  vsbuild vendor --prune          and nothing that the lockfile does not name";
