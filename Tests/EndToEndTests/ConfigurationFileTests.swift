import Foundation
import TestSupport
import Testing

/// The configuration file, wrong in every way: `FILE:LINE: KEY: what is wrong`, and 78.
@Suite struct ConfigurationFileTests {
    private static let wrongValues: [String: [String]] = [
        "auto_disk_leases": ["2", "-1", "\"1\"", "yes", "", "[1]", "1 2", "0x1", "1.0", "'", "\"\"\"x"],
        "disk_lease_dir": [
            "\"relative\"", "5", "\"\"", "\"/a\\\\b\"", "/unquoted", "\"/no end", "\"/\u{7}\"", "[\"/a\"]",
            "\"/\(String(repeating: "x", count: 1000))\"",
        ],
        "host_id": ["0", "2001", "-1", "\"1\"", "1.5", "99999999999999999999", "one", "0x10", "", "+"],
        "require_lease_for_disks": ["2", "\"0\"", "off", ""],
        "io_timeout": ["-1", "256", "\"1\"", "ten", ""],
        "user": ["\"\"", "[]", "-1", "4294967295", "\"no such user\"", "\"a:b\"", "\"-\"", "root", ""],
        "group": ["\"\"", "[]", "-1", "4294967295", "\"no such group\"", "\"a/b\"", "root", ""],
        "lease_hosts": ["0", "2001", "\"x\"", "-5", ""],
        "wait": ["-1", "\"5x\"", "\"\"", "\"-5s\"", "99999999999", "forever", ""],
        "on_lease_loss": ["\"reboot\"", "1", "\"\"", "poweroff", "\"Pause\"", ""],
        "stop_timeout": ["-1", "\"forever\"", "\"\"", ""],
        "run_dir": ["\"relative\"", "5", "\"\"", "\"/\(String(repeating: "r", count: 40))\"", "\"/a\tb\"", ""],
    ]

    @Test func eachKeyWithAWrongValueIsNamedWithItsLine() throws {
        let hosts = try TwoHosts.shared
        try withScratch { scratch in
            for (key, values) in Self.wrongValues {
                for value in values {
                    var station = try Station(on: hosts.first, of: hosts, scratch)
                    let others = [("disk_lease_dir", "\"\(hosts.leaseDirectory)\""), ("host_id", "1")]
                    let before = others.filter { $0.0 != key }.map { "\($0.0) = \($0.1)\n" }.joined()
                    let line = before.split(separator: "\n").count + 2
                    let file = try scratch.write("# ours\n\(before)\(key) = \(value)\n", to: "wrong.conf")
                    station.more["LEASEHOLD_CONFIG"] = file
                    try station.refused(["--disk", "/d"], code: 78, naming: ["\(file):\(line): \(key): "], within: 5)
                    if key != "user", key != "group" {
                        expectOneLine(try station.leasehold("list"), code: 78, naming: ["\(file):\(line): \(key): "])
                    }
                }
            }
        }
    }

    @Test func wrongLinesAreNamed() throws {
        let hosts = try TwoHosts.shared
        try withScratch { scratch in
            var station = try Station(on: hosts.first, of: hosts, scratch)
            let file = scratch.file("wrong.conf")
            station.more["LEASEHOLD_CONFIG"] = file
            for (line, words) in [
                ("auto_disk_lease = 1", ["auto_disk_lease", "auto_disk_leases"]), ("frob = 1", ["frob", "allowed"]),
                ("host_id", ["host_id"]), ("host_id 5", ["host_id"]), ("= 5", []), ("5 = 5", []), ("{}", []),
                ("host_id = 3 x", ["host_id"]), ("host_id = 3\nhost_id = 3", ["host_id", "line 2"]),
                ("host-id = 3", ["host-id"]), ("\u{1b}[31m = 3", []), ("host_id = \u{1b}[31m", ["host_id"]),
                (String(repeating: "k", count: 100_000) + " = 1", ["kkk"]),
            ] {
                try Data("# comment\n\(line)\n".utf8).write(to: URL(fileURLWithPath: file))
                let number = line.contains("\n") ? 3 : 2
                let refusal = try station.refused(code: 78, naming: ["\(file):\(number): "] + words, within: 5)
                #expect(refusal.line.utf8.count < 1000)
                expectOneLine(try station.leasehold("list"), code: 78, naming: ["\(file):\(number): "])
            }
        }
    }

    @Test func aFileThatCannotBeReadIsNamed() throws {
        let hosts = try TwoHosts.shared
        try withScratch { scratch in
            let station = try Station(on: hosts.first, of: hosts, scratch)
            let disks = ["--disk", "/no/disk"]
            let binary = scratch.file("binary")
            try Data([0x68, 0x6f, 0x73, 0x74, 0xff, 0xfe, 0x0a]).write(to: URL(fileURLWithPath: binary))
            let late = scratch.file("late")
            try (Data("host_id = 1\n# ".utf8) + Data([0xff, 0xfe, 0x0a])).write(to: URL(fileURLWithPath: late))
            let zeros = scratch.file("zeros")
            try (Data("host_id = 1\n".utf8) + Data(count: 10)).write(to: URL(fileURLWithPath: zeros))
            let fifo = scratch.file("fifo")
            #expect(mkfifo(fifo, 0o600) == 0)
            for file in [
                "/no/such/file", scratch.path, binary, late, zeros, fifo, "/dev/zero", "/etc/passwd/x",
                "/" + String(repeating: "x", count: 300),
            ] {
                let shown = String(file.prefix(100))
                try station.refused(["--config", file] + disks, code: 78, naming: [shown], within: 5)
                var named = station
                named.more["LEASEHOLD_CONFIG"] = file
                try named.refused(disks, code: 78, naming: [shown], within: 5)
                expectOneLine(try station.leasehold("list", "--config", file), code: 78, naming: [shown])
            }
        }
    }

    @Test func aUserWhoMayNotReadTheFileIsToldSo() throws {
        let hosts = try TwoHosts.shared
        try withScratch { scratch in
            let station = try Station(on: hosts.first, of: hosts, scratch)
            let program = try station.supervised([], ["/bin/true"])
                .prefixed(by: ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"])
            try station.refused(program, code: 78, naming: [station.configuration, "Permission denied"])
        }
    }

    @Test func withoutAHostIDAutomaticLeasesAreRefused() throws {
        let hosts = try TwoHosts.shared
        try withScratch { scratch in
            let station = try Station(
                hosts.first.daemon, id: 1, leaseDirectory: hosts.leaseDirectory, scratch,
                settings: ["host_id": nil])
            try station.refused(["--disk", "/d"], code: 78, naming: ["host_id"])
            let explicit = try ExplicitLease(in: hosts, offsets: 1)
            let guest = try station.start(["--lease", explicit.text(0)])
            try expectLeases(of: guest, [explicit.expected(0)])
            try guest.stop()
        }
    }
}
