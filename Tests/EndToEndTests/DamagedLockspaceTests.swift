import Foundation
import TestSupport
import Testing

/// The lockspace's file in every bad state, each on a host of its own that has joined nothing.
@Suite struct DamagedLockspaceTests {
    private static let bytesEach = 1 << 20
    private static let disk = "/disks/one"

    /// Something that is under the lockspace's name, and whether a start has to mend it, or else may run with it.
    private struct Spoiler {
        let name: String
        var isMended = false
        var mayRun = false
        let make: (_ path: String) throws -> Void
    }

    /// A lockspace's file that was never joined, for the io timeout of these tests.
    private func fresh(_ name: String = TwoHosts.lockspace, _ options: [String] = []) throws -> Data {
        try withScratch { scratch in
            let path = try scratch.disk("lockspace", mebibytes: options.isEmpty ? 1 : 8)
            try Program.run("sanlock", ["direct", "init", "-s", "\(name):0:\(path):0", "-o", "1"] + options)
                .expecting(.exit(0))
            return try #require(FileManager.default.contents(atPath: path))
        }
    }

    /// The same after a host with this id has joined and left.
    private func used(hostID: Int) throws -> Data {
        try withScratch { scratch in
            let daemon = try SanlockDaemon(hostName: "former", runDirectory: scratch.file("s"))
            scratch.atEnd { daemon.end() }
            let path = scratch.file("lockspace")
            try write(try fresh(), path)
            try daemon.join(hostID: hostID, path: path)
            try daemon.leave(hostID: hostID, path: path)
            return try #require(FileManager.default.contents(atPath: path))
        }
    }

    private func write(_ data: Data, _ path: String) throws {
        guard FileManager.default.createFile(atPath: path, contents: data) else { throw TestFailure("no \(path)") }
    }

    /// Starts a guest on each host at once, and tells what came of it.
    private func attempts(_ spoilers: [Spoiler], within seconds: Double = 20) throws {
        try withFreshHosts(spoilers.count) { hosts in
            for (host, spoiler) in zip(hosts, spoilers) { try spoiler.make(host.lockspacePath) }
            let before = hosts.map { FileSight($0.lockspacePath) }
            let guests = try hosts.map { host in
                let station = try host.station()
                let program = try station.supervised(
                    ["--name", "guest", "--disk", Self.disk], Probe.command("sleep", "120"))
                return Guest(running: try host.scratch.start(program), name: "guest", station: station)
            }
            for (index, spoiler) in spoilers.enumerated() {
                let (host, guest) = (hosts[index], guests[index])
                try eventually(within: seconds, every: 10, "an answer to \(spoiler.name)") {
                    try !guest.running.isRunning || guest.station.record(of: Self.disk) != nil
                }
                let now = FileSight(host.lockspacePath)
                if guest.running.isRunning {
                    try expectLeases(of: guest, [try ExpectedLease(Self.disk, in: host.leaseDirectory)])
                    #expect(spoiler.isMended || spoiler.mayRun, "\(spoiler.name): runs")
                    if spoiler.isMended {
                        #expect(now?.number != before[index]?.number, "\(spoiler.name): written in place")
                        #expect(now?.bytes == Self.bytesEach && now?.permissions == 0o660, "\(spoiler.name)")
                    }
                    #expect(try guest.stop().status == .signal(SIGTERM))
                } else {
                    let outcome = try guest.running.finish()
                    #expect(!spoiler.isMended, "\(spoiler.name): \(outcome)")
                    let code: Int32 = outcome.status == .exit(73) ? 73 : 69
                    expectOneLine(outcome, code: code, naming: [host.lockspacePath])
                    #expect(now == before[index], "\(spoiler.name): changed")
                }
                #expect(host.daemon.isRunning, "\(spoiler.name): the daemon is gone")
                #expect(LeaseDirectory.asideFiles(host.leaseDirectory) == [], "\(spoiler.name)")
            }
        }
    }

    @Test func aLockspaceThatNobodyFinishedIsMended() throws {
        let whole = try fresh()
        var spoilers = [Spoiler(name: "missing", isMended: true) { _ in }]
        for length in [0, 1, 512, 513, 4096, Self.bytesEach - 1, Self.bytesEach] {
            spoilers.append(
                Spoiler(name: "\(length) zeros", isMended: true) { [self] in try write(Data(count: length), $0) })
        }
        for length in [100, 512, 4096, 65536, Self.bytesEach - 1] {
            spoilers.append(
                Spoiler(name: "cut to \(length)", isMended: true) { [self] in try write(whole.prefix(length), $0) })
        }
        for some in Rounds.portions(spoilers, of: 13) { try attempts(some) }
    }

    @Test func whatIsNoLockspaceIsNamedAndKept() throws {
        let inUse = try used(hostID: 2)
        let other = try fresh("ELSEWHERE")
        let large = try fresh(TwoHosts.lockspace, ["-Z", "4096", "-A", "8M"])
        var spoilers = [
            Spoiler(name: "text") { [self] in try write(Data(repeating: 0x61, count: Self.bytesEach), $0) },
            Spoiler(name: "another lockspace") { [self] in try write(other, $0) },
            // Storage that could do both is no reason to refuse it.
            Spoiler(name: "sectors of 4096 bytes", mayRun: true) { [self] in try write(large, $0) },
            // Somebody has joined it once, and may still live by it.
            Spoiler(name: "used, cut to a page") { [self] in try write(inUse.prefix(4096), $0) },
            Spoiler(name: "used, cut by a byte", mayRun: true) { [self] in try write(inUse.dropLast(), $0) },
            Spoiler(name: "directory") {
                try FileManager.default.createDirectory(atPath: $0, withIntermediateDirectories: false)
            },
            Spoiler(name: "fifo") { #expect(mkfifo($0, 0o660) == 0) },
            Spoiler(name: "socket") { #expect(mknod($0, S_IFSOCK | 0o660, 0) == 0) },
            Spoiler(name: "character device") { #expect(mknod($0, S_IFCHR | 0o660, dev_t(1 << 8 | 5)) == 0) },
        ]
        for target in ["/dev/zero", "/", "/nowhere/at/all", TwoHosts.lockspace] {
            spoilers.append(
                Spoiler(name: "link to \(target)") {
                    try FileManager.default.createSymbolicLink(atPath: $0, withDestinationPath: target)
                })
        }
        for some in Rounds.portions(spoilers, of: 13) { try attempts(some) }
    }

    @Test func bitsOfTheLockspaceMayFlip() throws {
        let whole = try used(hostID: 2)
        // The first slot tells the sizes; 5 is the host's own, 2 that of a host which was there.
        let bits = [0, 1, 4].flatMap { slot in stride(from: 0, to: 256 * 8, by: 11).map { slot * 512 * 8 + $0 } }
        let spoilers = Rounds.some(bits, sample: 12).map { bit in
            Spoiler(name: "bit \(bit)", mayRun: true) { [self] in
                var flipped = whole
                flipped[bit / 8] ^= 1 << (bit % 8)
                try write(flipped, $0)
            }
        }
        for some in Rounds.portions(spoilers, of: 12) { try attempts(some) }
    }

    /// How a lockspace's file is lost while a host lives by it.
    enum Loss: CaseIterable {
        case removed, emptied, replaced

        func happen(_ path: String) throws {
            switch self {
            case .removed: unlink(path)
            case .emptied: #expect(truncate(path, 0) == 0)
            case .replaced:
                unlink(path)
                #expect(FileManager.default.createFile(atPath: path, contents: Data(count: 1 << 20)))
            }
        }
    }

    @Test(arguments: Loss.allCases)
    func nobodyMakesANewLockspaceWhileALeaseOfTheLostOneIsHeld(loss: Loss) throws {
        let hosts = try TwoHosts.withNothingSetUp()
        defer { hosts.end() }
        let stations = try [hosts.first, hosts.second].map { try Station(on: $0, of: hosts, hosts.scratch) }
        let guest = try stations[0].start(["--disk", Self.disk])
        try guest.waitUntilRecorded(Self.disk)
        try loss.happen(hosts.lockspacePath)
        if loss != .removed { try LeaseDirectory.waitUntilOld([hosts.lockspacePath]) }
        let before = FileSight(hosts.lockspacePath)
        for disk in [Self.disk, "/disks/two"] {
            let refusal = try stations[1].refused(["--disk", disk], code: 69, naming: [hosts.lockspacePath])
            #expect(refusal.outcome.seconds < 5)
            #expect(FileSight(hosts.lockspacePath) == before)
        }
        // sanlock itself may by now have noticed that its renewals are gone, and end the guest.
        _ = try guest.stop()
    }

    @Test(arguments: [Loss.removed, .emptied])
    func aHostInALostLockspaceTakesNoLeaseNextToTheNewOne(loss: Loss) throws {
        let hosts = try TwoHosts.withNothingSetUp()
        defer { hosts.end() }
        let stations = try [hosts.first, hosts.second].map { try Station(on: $0, of: hosts, hosts.scratch) }
        try stations[0].start(["--disk", Self.disk]).stop()
        try loss.happen(hosts.lockspacePath)
        if loss != .removed { try LeaseDirectory.waitUntilOld([hosts.lockspacePath]) }
        // Nothing is held: a new one may be made.
        try stations[1].start(["--disk", "/disks/two"]).stop()
        for disk in [Self.disk, "/disks/three"] {
            let running = try hosts.scratch.start(
                try stations[0].supervised(["--name", "one", "--disk", disk], Probe.command("sleep", "60")))
            try eventually(within: 20, every: 10, "an answer") {
                try !running.isRunning || stations[0].record(of: disk) != nil
            }
            if running.isRunning {
                try stations[1].refused(["--disk", disk], code: 75, naming: [disk])
                #expect(running.isRunning, "\(running.errors)")
                running.signal(SIGTERM)
                try running.wait()
            } else {
                expectOneLine(try running.finish(), code: 69, naming: [hosts.lockspacePath])
            }
        }
    }
}
