import Foundation
import TestSupport
import Testing

@testable import DiskNames

/// A /dev of the test's own: real nodes and links, in a scratch directory.
private struct Devices {
    let scratch: Scratch
    var path: String { scratch.file("dev") }

    /// A node. No driver has the number, and nothing opens it.
    func node(_ name: String, number: Int = 1) throws {
        try folder(of: name)
        guard mknod("\(path)/\(name)", S_IFBLK | 0o600, dev_t(240 << 8 | number)) == 0 else {
            throw TestFailure("can't make the node \(name)")
        }
    }

    func link(_ name: String, to target: String) throws {
        try folder(of: name)
        guard symlink(target, "\(path)/\(name)") == 0 else { throw TestFailure("can't make the link \(name)") }
    }

    func advice(_ name: String) -> String? { DiskName(devices: path).advice(for: "\(path)/\(name)") }

    private func folder(of name: String) throws {
        try scratch.directory((["dev"] + name.split(separator: "/").dropLast().map(String.init)).joined(separator: "/"))
    }
}

private func withDevices(_ body: (Devices) throws -> Void) throws {
    try withScratch { try body(Devices(scratch: $0)) }
}

private let discovery = "is named by order of discovery and may be another disk after a reboot"

@Suite struct KernelNameTests {
    @Test(arguments: [
        "sda", "sdb1", "sdzz15", "vda", "vda1", "xvda", "xvdb2", "hda", "nvme0n1", "nvme10n2", "nvme0n1p1", "nvme0c1n1",
        "dm-0", "dm-12", "md0", "md127p1", "loop0", "loop1p2", "nbd0", "nbd0p1", "rbd3", "zd16", "zd16p1", "sr0",
        "mmcblk0p1", "dasda1",
    ])
    func nameByOrderOfDiscoveryIsWarnedOf(name: String) throws {
        try withDevices { devices in
            try devices.node(name)
            #expect(devices.advice(name) == "\(devices.path)/\(name) \(discovery); no stable name was found")
        }
    }

    @Test(arguments: [
        "sd", "sd1", "sda1p1", "sda-1", "SDA", "nvme0", "nvme0n", "nvme0n1p", "nvme0c1", "nvme0n1x", "dm-", "dm-x",
        "md",
        "loop", "loop-control", "loop0p", "drbd0", "mydisk", "vol/sda", "asda", "zd16x",
    ])
    func anyOtherNameIsNot(name: String) throws {
        try withDevices { devices in
            try devices.node(name)
            #expect(devices.advice(name) == nil)
        }
    }

    @Test func spellingDoesNotHideIt() throws {
        try withDevices { devices in
            try devices.node("sda")
            try devices.node("disk/by-id/node", number: 2)
            for name in ["./sda", "/sda", "disk/../sda", ".//disk/by-id/../.././sda", "../dev/sda"] {
                #expect(
                    devices.advice(name) == "\(devices.path)/\(name) \(discovery); no stable name was found", "\(name)")
            }
        }
    }

    @Test func linkByNumberOfDiscoveryIsWarnedOf() throws {
        try withDevices { devices in
            try devices.node("sda")
            try devices.link("block/240:1", to: "../sda")
            try devices.link("disk/by-diskseq/9", to: "../../sda")
            try devices.link("disk/by-id/ata-A", to: "../../sda")
            for name in ["block/240:1", "disk/by-diskseq/9"] {
                let best = "\(devices.path)/disk/by-id/ata-A"
                #expect(devices.advice(name) == "\(devices.path)/\(name) \(discovery); use \(best)")
            }
        }
    }

    @Test func realLoopDeviceIsWarnedOf() throws {
        try withScratch { scratch in
            let loop = try LoopDevice(in: scratch, file: "disk.img")
            let advice = try #require(DiskName.advice(for: loop.path))
            #expect(advice.hasPrefix("\(loop.path) \(discovery); "))

            let devices = Devices(scratch: scratch)
            try devices.link("disk/by-id/wwn-0x5", to: loop.path)
            #expect(DiskName(devices: devices.path).advice(for: scratch.file("dev/disk/by-id/wwn-0x5")) == nil)
        }
    }
}

@Suite struct StableNameTests {
    /// Each better than those before it.
    private let ascending = [
        "disk/by-uuid/0-0", "disk/by-path/pci-1", "disk/by-partuuid/0-1", "md/host:0", "disk/by-id/ata-B",
        "disk/by-id/ata-A", "disk/by-id/ata-A_1", "mapper/mpatha", "rbd/pool/image", "zvol/tank/vm/disk",
        "disk/by-id/md-uuid-1", "disk/by-id/dm-uuid-mpath-3600", "disk/by-id/scsi-3600", "disk/by-id/nvme-nvme.1",
        "disk/by-id/nvme-uuid.1", "disk/by-id/nvme-eui.1", "disk/by-id/wwn-0x600",
    ]

    @Test func bestNameIsTheOneThatIsTheSameOnEveryHost() throws {
        try withDevices { devices in
            try devices.node("sdb")
            for name in ascending {
                try devices.link(name, to: "\(devices.path)/sdb")
                #expect(devices.advice("sdb") == "\(devices.path)/sdb \(discovery); use \(devices.path)/\(name)")
            }
        }
    }

    @Test(arguments: [
        ("vg-lv", "vg/lv"), ("vg--a-lv--b", "vg-a/lv-b"), ("vg---lv", "vg-/lv"), ("vg-lv----c", "vg/lv--c"),
    ])
    func logicalVolumeIsNamedByItsGroup(mapped: String, volume: String) throws {
        try withDevices { devices in
            try devices.node("dm-7")
            try devices.link("mapper/\(mapped)", to: "../dm-7")
            try devices.link("disk/by-id/wwn-0x600", to: "../../dm-7")
            #expect(devices.advice("dm-7")?.hasSuffix("; use \(devices.path)/disk/by-id/wwn-0x600") == true)
            try devices.link(volume, to: "../dm-7")
            #expect(devices.advice("dm-7")?.hasSuffix("; use \(devices.path)/\(volume)") == true)
        }
    }

    @Test(arguments: ["root", "vg-pool-tpool", "vg-", "-lv"])
    func mapThatIsNoVolumeIsNamedAsAMap(mapped: String) throws {
        try withDevices { devices in
            try devices.node("dm-7")
            try devices.link("mapper/\(mapped)", to: "../dm-7")
            for name in ["root", "lv", "vg/pool/tpool"] { try devices.link(name, to: "\(devices.path)/dm-7") }
            #expect(devices.advice("dm-7")?.hasSuffix("; use \(devices.path)/mapper/\(mapped)") == true)
        }
    }

    @Test func nameOfAnotherDiskIsNeverAdvised() throws {
        try withDevices { devices in
            try devices.node("sdb")
            try devices.node("sdc", number: 2)
            for name in ascending + ["vg/lv"] { try devices.link(name, to: "\(devices.path)/sdc") }
            try devices.link("mapper/vg-lv", to: "../sdb")
            try devices.link("mapper/dangling", to: "../nothing")
            #expect(mkfifo("\(devices.path)/disk/by-id/wwn-fifo", 0o600) == 0)
            #expect(devices.advice("sdb")?.hasSuffix("; use \(devices.path)/mapper/vg-lv") == true)
        }
    }

    @Test func stableNameIsFine() throws {
        try withDevices { devices in
            try devices.node("sdb")
            for name in ascending + ["vg/lv", "disk/by-label/root", "disk/by-partlabel/data"] {
                try devices.link(name, to: "\(devices.path)/sdb")
                #expect(devices.advice(name) == nil, "\(name)")
            }
            // Without udev, device-mapper makes nodes.
            try devices.node("mapper/node")
            #expect(devices.advice("mapper/node") == nil)
            // Somebody's rule, which gives a disk the name that a cloud's administrator knows it by.
            try devices.link("xvdf", to: "sdb")
            #expect(devices.advice("xvdf") == nil)
            try devices.link("disk/by-id/chain", to: "../../xvdf")
            #expect(devices.advice("disk/by-id/chain") == nil)
        }
    }

    @Test func foldersThatLeadInCirclesAreSearchedOnce() throws {
        try withDevices { devices in
            try devices.node("zd0")
            try devices.link("zvol/tank/circle", to: "../..")
            try devices.link("zvol/tank/disk", to: "../../zd0")
            #expect(devices.advice("zd0")?.hasSuffix("; use \(devices.path)/zvol/tank/disk") == true)
        }
    }
}

@Suite struct LinkedPathTests {
    @Test func linkToAFileIsWarnedOf() throws {
        try withScratch { scratch in
            let disk = try scratch.disk("disk.img")
            try link(scratch, "relative.img", to: "disk.img")
            try link(scratch, "absolute.img", to: disk)
            try link(scratch, "chain.img", to: "./relative.img")
            for name in ["relative.img", "absolute.img", "chain.img"] {
                let path = scratch.file(name)
                #expect(
                    DiskName.advice(for: path)
                        == "\(path) is a symbolic link to \(disk); every host must use the same name: use \(disk)")
            }
        }
    }

    @Test func linkInFrontOfAFileIsWarnedOf() throws {
        try withScratch { scratch in
            try scratch.directory("real/below")
            let disk = try scratch.disk("real/below/disk.img")
            try link(scratch, "pool", to: "real")
            let through = "goes through the symbolic link \(scratch.file("pool")) to \(disk)"
            for name in ["pool/below/disk.img", "pool//./below/disk.img", "real/../pool/below/disk.img"] {
                let path = scratch.file(name)
                #expect(
                    DiskName.advice(for: path)
                        == "\(path) \(through); every host must use the same name: use \(disk)")
            }
            try link(scratch, "real/last.img", to: "below/disk.img")
            let both = scratch.file("pool/last.img")
            #expect(DiskName.advice(for: both)?.hasPrefix("\(both) is a symbolic link to \(disk); ") == true)
            // Behind the link, `..` is the target's folder and not the link's.
            try link(scratch, "deep", to: "real/below")
            let up = scratch.file("deep/../below/disk.img")
            #expect(DiskName.advice(for: up)?.hasSuffix(": use \(disk)") == true)
        }
    }

    @Test func pathWithoutLinksIsFineHoweverItIsSpelled() throws {
        try withScratch { scratch in
            try scratch.directory("real")
            _ = try scratch.disk("real/disk.img")
            for name in ["real/disk.img", "real//disk.img", "./real/././disk.img", "real/../real/disk.img"] {
                #expect(DiskName.advice(for: scratch.file(name)) == nil, "\(name)")
            }
            #expect(DiskName.advice(for: "//" + scratch.file("real/disk.img")) == nil)
        }
    }

    @Test func linkToADeviceIsAnsweredWithANameInDev() throws {
        try withDevices { devices in
            let scratch = devices.scratch
            try devices.node("sdb")
            try devices.link("vg/lv", to: "../sdb")
            let path = scratch.file("web1")
            func advice() -> String? { DiskName(devices: devices.path).advice(for: path) }

            // By way of a stable name, that one.
            try link(scratch, "web1", to: "dev/vg/lv")
            let volume = "\(devices.path)/vg/lv"
            #expect(
                advice() == "\(path) is a symbolic link to \(volume); every host must use the same name: use \(volume)")

            // To an unstable one, never that.
            #expect(unlink(path) == 0)
            try link(scratch, "web1", to: "dev/sdb")
            let node = "\(devices.path)/sdb"
            #expect(
                advice() == "\(path) is a symbolic link to \(node), which \(discovery); no stable name was found")
            try devices.link("disk/by-id/wwn-0x5", to: "../../sdb")
            let best = "\(devices.path)/disk/by-id/wwn-0x5"
            #expect(advice() == "\(path) is a symbolic link to \(node); every host must use the same name: use \(best)")

            try link(scratch, "storage", to: "dev/disk/by-id")
            let below = scratch.file("storage/wwn-0x5")
            #expect(
                DiskName(devices: devices.path).advice(for: below)
                    == "\(below) goes through the symbolic link \(scratch.file("storage")) to \(best); "
                    + "every host must use the same name: use \(best)")
        }
    }

    @Test func linkToANodeElsewhereIsAnsweredWithTheNode() throws {
        try withDevices { devices in
            try devices.node("vda")
            let node = devices.scratch.file("node")
            #expect(mknod(node, S_IFBLK | 0o600, status(of: "\(devices.path)/vda").st_rdev) == 0)
            try link(devices.scratch, "link", to: "node")
            #expect(DiskName(devices: devices.path).advice(for: node) == nil)
            let advice = DiskName(devices: devices.path).advice(for: devices.scratch.file("link"))
            #expect(
                advice?.hasSuffix("/link is a symbolic link to \(node); every host must use the same name: use \(node)")
                    == true)
        }
    }

    @Test func linkInDevToAFileIsWarnedOf() throws {
        try withDevices { devices in
            let disk = try devices.scratch.disk("disk.img")
            try devices.link("shm/disk", to: disk)
            try devices.link("sdq", to: disk)
            #expect(devices.advice("shm/disk")?.hasSuffix(": use \(disk)") == true)
            let inside = try devices.scratch.disk("dev/shm/inside")
            try devices.link("shm/link", to: "inside")
            #expect(devices.advice("shm/link")?.hasSuffix(": use \(inside)") == true)
            #expect(devices.advice("sdq")?.hasSuffix(": use \(disk)") == true)
        }
    }

    @Test func whatIsNoDiskGetsNoAdvice() throws {
        try withScratch { scratch in
            try link(scratch, "dangling", to: "nothing")
            try link(scratch, "loop", to: "loop")
            try link(scratch, "one", to: "other")
            try link(scratch, "other", to: "one")
            #expect(mkfifo(scratch.file("fifo"), 0o600) == 0)
            try link(scratch, "link to fifo", to: "fifo")
            try link(scratch, "folder", to: ".")
            for name in [
                "nothing", "dangling", "loop", "one", "one/below", "fifo", "link to fifo", "folder", "folder/",
            ] {
                #expect(DiskName.advice(for: scratch.file(name)) == nil, "\(name)")
            }
            for path in ["", "/", "/dev/null", "/dev", "relative", "nbd://host/sda", "/dev/sdnone", "//"] {
                #expect(DiskName.advice(for: path) == nil, "\(path)")
            }
        }
    }

    @Test func relativePathGetsNoAdvice() throws {
        try withScratch { scratch in
            _ = try scratch.disk("disk.img")
            try link(scratch, "link.img", to: "disk.img")
            let here = FileManager.default.currentDirectoryPath
            let up = String(repeating: "../", count: here.split(separator: "/").count)
            let path = up + scratch.file("link.img").dropFirst()
            #expect(DiskIdentity(of: path) != nil)
            #expect(DiskName.advice(for: path) == nil)
        }
    }

    @Test func linksOfTheKernelAreNotTakenAtTheirWord() throws {
        try withScratch { scratch in
            let disk = try scratch.disk("disk.img")
            let opened = open(disk, O_RDONLY | O_CLOEXEC)
            defer { close(opened) }
            let path = "/proc/self/fd/\(opened)"
            #expect(DiskName.advice(for: path)?.hasSuffix(": use \(disk)") == true)
            // The file is still there, and its old name is another's.
            #expect(unlink(disk) == 0)
            _ = try scratch.disk("disk.img (deleted)")
            #expect(DiskName.advice(for: path) == nil)
        }
    }

    @Test func namesAreBytes() throws {
        try withScratch { scratch in
            // An accent behind a slash: one character to Swift, two names to a file system.
            try scratch.directory("real")
            let disk = try scratch.disk("real/\u{301}disk.img")
            #expect(DiskName.advice(for: disk) == nil)
            try link(scratch, "\u{301}link", to: "real/\u{301}disk.img")
            #expect(DiskName.advice(for: scratch.file("\u{301}link"))?.hasSuffix(": use \(disk)") == true)
        }
    }

    private func link(_ scratch: Scratch, _ name: String, to target: String) throws {
        guard symlink(target, scratch.file(name)) == 0 else { throw TestFailure("can't make the link \(name)") }
    }
}
