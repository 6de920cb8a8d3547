import Testing

@testable import EmulatorCommandLine

/// SplitMix64: small, and the same on every machine.
struct SeededGenerator: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }
}

@Suite struct FuzzTests {
    private static let words = [
        "env", "-i", "-S", "nice", "-n", "5", "taskset", "-c", "0", "sudo", "-u", "chrt", "--", "-", "", "kvm",
        "qemu-system-x86_64", "-drive",
        "--drive", "-blockdev", "-device", "-set", "-readconfig", "-object", "-hda", "-cdrom", "-snapshot", "-name",
        "-m", "-unknown", "/c",
    ]
    private static let pieces = [
        "file", "=", ",", ",,", ".", "/x", "driver", "raw", "qcow2", "filename", "json:", "{", "}", "[", "]", "\"", "'",
        ":", "\\", "\\u", "d83d", "0",
        "-1e5", "true", "null", "nbd", "://", "nbd:", "unix:", "rbd:", "iscsi://", "gluster://", "h", "@", "%", "%4",
        "%ff", "?", "socket=", "#", "backing",
        "children.", "read-only", "readonly", "on", "off", "id=", "node-name=", "a", "drive.", "share-rw", "blkdebug:",
        "blkverify:", "fat:", "rw:", "nvme://",
        "server.", "type=", "host", "port", "export", "pool=", "image=", "é", "\u{301}", "\u{fffd}", "\n", "\u{0}", "$",
        "#", " ", "https://", "sheepdog:", "key=",
        "password", "/dev/fd/3", "x-image=", "vvfat", "dir=", "quorum", "data-file", "99999999999999999999",
    ]

    private static func word(_ generator: inout SeededGenerator) -> String {
        if Bool.random(using: &generator) { return words.randomElement(using: &generator) ?? "" }
        return (0..<Int.random(in: 0...14, using: &generator)).map { _ in pieces.randomElement(using: &generator) ?? ""
        }.joined()
    }

    /// Every command line ends in an answer or in one line, never in a trap.
    @Test func noCommandLineTraps() throws {
        let seed = UInt64.random(in: 0 ... .max)
        print("seed of noCommandLineTraps: \(seed)")
        var generator = SeededGenerator(state: seed)
        var answers = 0
        for round in 0..<30_000 {
            var words = round % 4 == 0 ? [] : ["kvm"]
            for _ in 0..<Int.random(in: 0...7, using: &generator) { words.append(Self.word(&generator)) }
            let text = (0..<6).map { _ in Self.word(&generator) }.joined(separator: round % 3 == 0 ? " = \"" : "\n")
            do {
                let command = try EmulatorCommandLine(arguments: words, workingDirectory: "/w") { _ in text }
                for disk in command.disks {
                    #expect(
                        !disk.path.isEmpty
                            && (disk.isNetwork || disk.path.hasPrefix("/") || disk.path.hasPrefix("nvme://")),
                        "seed \(seed)")
                    #expect(!disk.origin.utf8.contains(0x0a), "seed \(seed)")
                }
                answers += 1
            } catch {
                #expect(!error.message.utf8.contains(0x0a), "seed \(seed): \(error.message)")
            }
        }
        #expect(answers > 1000)
    }

    /// A plain writable disk is found wherever it stands among options that open none.
    @Test func aWritableDiskIsNeverMissed() throws {
        let seed = UInt64.random(in: 0 ... .max)
        print("seed of aWritableDiskIsNeverMissed: \(seed)")
        var generator = SeededGenerator(state: seed)
        let others = [
            ["-m", "1G"], ["-nographic"], ["-device", "virtio-net-pci"], ["-name", "x,process=y"], ["-cdrom", "/iso"],
            ["-smp", "4"], ["-enable-kvm"],
            ["-drive", "file=/other,readonly=on"], ["-object", "rng-random,id=r"], ["-no-reboot"],
            ["-incoming", "defer"], ["-S"], ["-kernel", "/k"],
            ["-new-option"], ["-vnc", ":1"], ["-daemonize"], ["-netdev", "user,id=n"],
            ["-drive", "file=/y,snapshot=on"],
        ]
        let spellings = [
            ["-hda", "/disk"], ["/disk"], ["-drive", "if=none,file=/disk"],
            ["-drive", "file.filename=/disk,format=raw"], ["-pflash", "/disk"],
            ["-blockdev", "file,node-name=f,filename=/disk"],
            ["-blockdev", "{\"driver\":\"raw\",\"file\":{\"driver\":\"file\",\"filename\":\"/disk\"}}"],
            ["-drive", "file=json:{'driver':'qcow2',,'file.filename':'/disk'}"],
            ["-drive", "file=file:/disk,cache=none"],
        ]
        for _ in 0..<3000 {
            var parts = (0..<Int.random(in: 0...8, using: &generator)).map { _ in
                others.randomElement(using: &generator) ?? []
            }
            let spelling = spellings.randomElement(using: &generator) ?? []
            let place = Int.random(in: 0...parts.count, using: &generator)
            // A word after an unknown option is refused: that is tested elsewhere.
            if spelling.count == 1, place > 0, parts[place - 1] == ["-new-option"] { continue }
            parts.insert(spelling, at: place)
            let found = try disks(parts.flatMap { $0 })
            #expect(found.contains("W /disk"), "seed \(seed): \(parts)")
        }
    }
}
