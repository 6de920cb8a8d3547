import Foundation
import TestSupport
import Testing

/// QEMU command lines whose disks can't be told: refused by name, never skipped.
@Suite struct BadDiskOptionTests {
    private static let deep = String(repeating: "{\"file\":", count: 5000)

    /// What follows `qemu-system-x86_64`, and what the refusal has to name.
    private static let malformed: [([String], String)] = [
        (["-drive"], "-drive"), (["--drive"], "-drive"), (["-hda"], "-hda"), (["-blockdev"], "-blockdev"),
        (["-readconfig"], "-readconfig"), (["-cdrom"], "-cdrom"), (["-pflash"], "-pflash"), (["-fda"], "-fda"),
        (["-drive", "disk.img"], "disk.img"), (["-drive", "file=a,disk.img"], "disk.img"),
        (["-drive", "file=a,b.img"], "b.img"), (["-drive", "file=a,readonly=maybe"], "maybe"),
        (["-drive", "file=a,snapshot=perhaps"], "perhaps"), (["-drive", "file=a,format=raw,driver=qcow2"], "driver"),
        (["-drive", "file=a,file.filename=b"], "file.filename"), (["-drive", "file=frob://x/y"], "frob"),
        (["-drive", "file=nbd:"], "nbd"), (["-drive", "file=nbd://"], "nbd"), (["-drive", "file=rbd:"], "rbd"),
        (["-drive", "file=iscsi://host"], "iscsi"), (["-drive", "file=ssh:"], "ssh"),
        (["-drive", "file=json:"], "json"), (["-drive", "file=json:{"], "json"), (["-drive", "file=json:[]"], "json"),
        (["-drive", "file=json:{\"driver\":5}"], "json"), (["-drive", "driver=frobnicate,file.filename=x"], "frob"),
        (["-drive", "file.driver=frobnicate"], "frobnicate"),
        (["-drive", "if=none,id=a,file=x", "-drive", "if=none,id=a,file=y"], "'a'"),
        (["-drive", "file=blkverify:x"], "blkverify"), (["-drive", "file=fat:"], "fat"),
        (["-drive", "file.file.file=5,file.file=x"], "-drive"),
        (["-blockdev", "driver=file"], "-blockdev"),
        (["-blockdev", "file"], "-blockdev"), (["-blockdev", "driver=frobnicate,filename=x"], "frobnicate"),
        (["-blockdev", "driver=qcow2"], "-blockdev"), (["-blockdev", "driver=qcow2,file=nowhere"], "nowhere"),
        (["-blockdev", "driver=raw,file.driver=file"], "-blockdev"), (["-blockdev", ""], "-blockdev"),
        (["-blockdev", "{"], "-blockdev"), (["-blockdev", "{}"], "-blockdev"), (["-blockdev", "[1]"], "-blockdev"),
        (["-blockdev", "{\"driver\":null,\"filename\":\"x\"}"], "-blockdev"),
        (["-blockdev", "{\"driver\":\"file\",\"filename\":\"x\"} x"], "-blockdev"),
        (["-blockdev", "{\"driver\":\"file\",\"filename\":\"\\ud800\"}"], "-blockdev"),
        (["-blockdev", "{\"driver\":\"raw\",\"file\":[\"x\"]}"], "-blockdev"),
        (["-blockdev", "{\"driver\":\"quorum\",\"children\":5}"], "-blockdev"),
        (["-blockdev", "{\"driver\":\"file\",\"filename\":\"x\",\"read-only\":\"maybe\"}"], "-blockdev"),
        (["-blockdev", deep], "-blockdev"), (["-drive", "file=json:\(deep)"], "-drive"),
        (
            ["-blockdev", "driver=file,filename=x,node-name=n", "-blockdev", "driver=file,filename=y,node-name=n"],
            "'n'"
        ),
        (["-device", "{"], "-device"),
        (["-device", "{\"driver\":\"virtio-blk\",\"drive\":\"d\",\"share-rw\":7}"], "-device"),
        (["-drive", "file=x,id=d,if=none", "-device", "virtio-blk-pci,drive=d,share-rw=perhaps"], "perhaps"),
        (["-set", "drive.a"], "-set"), (["-set", "drive.nobody.file=x"], "nobody"), (["-set", "drive.a.file"], "-set"),
        (["-readconfig", "/no/such/file"], "/no/such/file"), (["-readconfig", "-"], "-readconfig"),
        (["-readconfig", "/"], "-readconfig"), (["-readconfig", "garbage.cfg"], "garbage.cfg"),
        (["-readconfig", "binary.cfg"], "binary.cfg"), (["-readconfig", "large.cfg"], "large.cfg"),
        (["-readconfig", "fifo.cfg"], "fifo.cfg"),
        (["-usbdevice", "disk:x.img"], "-usbdevice"), (["-frobnicate", "/dev/sdx"], "/dev/sdx"),
        (["-frobnicate", "disk.qcow2"], "disk.qcow2"),
    ]

    private func prepare(_ scratch: Scratch) throws {
        try scratch.write("this is no configuration\n", to: "garbage.cfg")
        try Data([0xff, 0xfe, 0x00, 0x0a]).write(to: URL(fileURLWithPath: scratch.file("binary.cfg")))
        _ = try scratch.disk("large.cfg", mebibytes: 64)
        #expect(mkfifo(scratch.file("fifo.cfg"), 0o600) == 0)
    }

    /// Bash's `-readconfig <(…)`: read by us it is lost to QEMU, and not read it hides its disks from us.
    @Test func aConfigurationFromAPipeIsRefused() throws {
        let hosts = try TwoHosts.shared
        try withScratch { scratch in
            let station = try Station(on: hosts.first, of: hosts, scratch)
            let disk = try hosts.disk()
            let drives = try scratch.write("[drive]\n  file = \"\(disk)\"\n  format = \"raw\"\n", to: "drives.cfg")
            for delay in ["0", "0.4"] {
                let script = """
                    exec "$0" -- qemu-system-x86_64 -accel tcg -nodefaults -display none \\
                        -readconfig <(sleep \(delay); cat "$1")
                    """
                let program = Program(
                    "/bin/bash", ["-c", script, try Products.supervisor(), drives], environment: station.environment)
                try station.refused(program, code: 64, naming: ["-readconfig"], within: 5)
            }
        }
    }

    @Test func malformedDiskOptionsAreRefusedByName() throws {
        let hosts = try TwoHosts.shared
        try withScratch { scratch in
            let station = try Station(on: hosts.first, of: hosts, scratch)
            try prepare(scratch)
            for (options, word) in Self.malformed {
                let refusal = try station.refused(
                    [], ["qemu-system-x86_64"] + options, code: 64, naming: [word, "--no-auto-disks"], within: 5)
                #expect(refusal.line.utf8.count < 2000, "\(refusal.line.prefix(300))")
            }
        }
    }

    /// Where the emulator opens nothing in any case, its own refusal will do.
    @Test func whatOnlyQEMURefusesLeavesNothing() throws {
        let hosts = try TwoHosts.shared
        try withScratch { scratch in
            let station = try Station(on: hosts.first, of: hosts, scratch)
            for options in [
                ["-drive", "driver=qcow2"], ["-blockdev", "filename=x"],
                ["-blockdev", "{\"driver\":\"file\",\"filename\":5}"], ["-frobnicate"], ["-drive", "file=/no/disk"],
                ["-device", "virtio-blk-pci,drive=nobody"], ["-hda"],
            ] {
                let outcome = try station.supervised(["--name", "q"], ["qemu-system-x86_64", "-nodefaults"] + options)
                    .run()
                #expect(outcome.status == .exit(1) || outcome.status == .exit(64), "\(options): \(outcome)")
                #expect(outcome.output == "" && outcome.errors.contains(options[0].dropFirst()), "\(outcome)")
                #expect(station.runFiles().subtracting(["exits/q.json"]) == [])
                try eventually(within: 2) { scratch.strayProcesses == [] }
            }
        }
    }

    @Test func launchersThatCannotBeReadAreRefused() throws {
        let hosts = try TwoHosts.shared
        try withScratch { scratch in
            let station = try Station(on: hosts.first, of: hosts, scratch)
            for launcher in [
                ["env", "--frobnicate"], ["nice", "--frobnicate"], ["sudo", "--chroot=/x"], ["taskset", "--frob", "1"],
                ["env", "-S", "qemu-system-x86_64 ${X}"],
            ] {
                let command = launcher + ["qemu-system-x86_64", "-hda", "x"]
                try station.refused([], command, code: 64, naming: [launcher[0]], within: 5)
            }
        }
    }

    @Test func withoutAutomaticDisksNothingOfThemHasToBeUnderstood() throws {
        let hosts = try TwoHosts.shared
        try withScratch { scratch in
            let station = try Station(on: hosts.second, of: hosts, scratch)
            try prepare(scratch)
            let disk = try hosts.disk()
            // A stand-in of QEMU's name, which starts whatever it is told.
            let emulator = scratch.file("qemu-system-x86_64")
            try FileManager.default.createSymbolicLink(atPath: emulator, withDestinationPath: "/bin/true")
            for (options, _) in Self.malformed.filter({ $0.0.joined().utf8.count < 10_000 }) {
                let outcome = try station.supervised(["--no-auto-disks", "--disk", disk], [emulator] + options).run()
                #expect(outcome.status == .exit(0), "\(options): \(outcome)")
            }
            #expect(try hosts.holders(of: disk).isEmpty)
        }
    }
}
