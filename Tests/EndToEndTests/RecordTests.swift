import Foundation
import Testing
import TestSupport

/// How each guest's end is written down.
@Suite struct ExitRecordTests {
    @Test func everyWayOfEndingHasItsRecord() throws {
        let hosts = try TwoHosts.shared
        try ControlDesk.with { desk in
            let disk = try hosts.disk()
            struct Ending {
                var reason: String
                var code: Int?
                var signal: Int32?
                var status: Status
                var command: [String]
                var end: (ControlledGuest) throws -> Void = { _ in }
            }
            let sleeping = ["sleep", "60"]
            let endings = [
                Ending(reason: "exited", code: 7, status: .exit(7), command: ["sh", "-c", "sleep 1; exit 7"]),
                Ending(
                    reason: "exited", signal: SIGKILL, status: .signal(SIGKILL),
                    command: ["sh", "-c", "sleep 1; kill -9 $$"]),
                Ending(reason: "exited", signal: SIGUSR1, status: .signal(SIGUSR1), command: sleeping) {
                    $0.supervisor.signal(SIGUSR1)
                },
                Ending(reason: "stopped", signal: SIGTERM, status: .signal(SIGTERM), command: sleeping) {
                    $0.supervisor.signal(SIGTERM)
                },
                Ending(reason: "stopped", signal: SIGTERM, status: .signal(SIGTERM), command: sleeping) {
                    try desk.leasehold("stop", $0.name).expecting(.exit(0))
                },
                Ending(reason: "killed", signal: SIGKILL, status: .signal(SIGKILL), command: sleeping) {
                    try desk.leasehold("kill", $0.name).expecting(.exit(0))
                },
                Ending(reason: "keeperDied", signal: SIGKILL, status: .exit(125), command: sleeping) {
                    try $0.keeper().signal(SIGKILL)
                },
            ]
            for (number, ending) in endings.enumerated() {
                let guest = try desk.start("ending-\(number)", disks: [disk], command: ending.command)
                let started = Date()
                try ending.end(guest)
                #expect(try guest.supervisor.wait(timeout: 10) == ending.status, "\(ending.reason) \(number)")
                let record = try #require(try desk.exitRecord(guest.name))
                #expect(record["reason"]?.string == ending.reason)
                #expect(record["code"]?.integer == ending.code)
                #expect(record["signal"]?.integer == ending.signal.map(Int.init), "\(ending.reason) \(number)")
                #expect(record["name"]?.string == guest.name)
                #expect(record["uuid"]?.string?.count == 36)
                #expect(record["leasesFree"] == true)
                let keys = Set(try #require(record.object).keys)
                let how = ending.code == nil ? "signal" : "code"
                #expect(keys == ["name", "uuid", how, "reason", "time", "leasesFree"])
                let text = try #require(record["time"]?.string)
                let time = try Date(text, strategy: Date.ISO8601FormatStyle(includingFractionalSeconds: true))
                #expect(abs(time.timeIntervalSince(started)) < 10)
                #expect(try desk.json("wait", guest.name, "--json") == record)
                #expect(try desk.guestNames() == [])
                #expect(try hosts.holders(of: disk).isEmpty)
            }
        }
    }

    @Test func aDaemonThatVanishesIsRecordedAsALostLease() throws {
        try withTwoHosts { hosts in
            try ControlDesk.with(hosts.first) { desk in
                let guest = try desk.start("bereft", disks: [try hosts.disk()])
                let monitor = try ControlConnection(guest.control)
                try monitor.send("Monitor", more: true)
                _ = try monitor.receive()
                hosts.first.daemon.kill()
                try eventually(within: 1, "the guest's end") { !guest.child.exists }
                #expect(try guest.supervisor.wait(timeout: 10) == .exit(74))
                let record = try #require(try desk.exitRecord("bereft"))
                #expect(record["reason"] == "leaseLost")
                #expect(record["leasesFree"] == false)
                var events: [String] = []
                while let reply = try monitor.receive() {
                    if let event = reply["parameters"]?["event"]?["event"]?.string { events.append(event) }
                }
                #expect(events.filter { $0 != "started" } == ["leaseLost", "exited", "released"])
                #expect(try desk.leasehold("wait", "bereft").output.contains("lost"))
                #expect(try desk.guestNames() == [])
            }
        }
    }

    @Test func aStartThatFailsLeavesTheRecordsAlone() throws {
        let hosts = try TwoHosts.shared
        try ControlDesk.with { desk in
            let disk = try hosts.disk()
            #expect(try desk.supervised("again", command: ["sh", "-c", "exit 3"]).run().status == .exit(3))
            let record = try Data(contentsOf: URL(filePath: desk.exitPath("again")))
            _ = try desk.start("owner", disks: [disk])
            let failing: [(Program, Status)] = [
                (try desk.supervised("again", disks: [disk]), .exit(75)),
                (try desk.supervised("again", command: [desk.scratch.file("missing")]), .exit(127)),
                (try desk.supervised("again", command: [desk.scratch.path]), .exit(126)),
                (try desk.supervised("again", command: [try desk.scratch.write("no program", to: "text")]), .exit(126)),
                (try desk.supervised("owner"), .exit(75)),
                (try desk.supervised("fresh", disks: [disk]), .exit(75)),
            ]
            for (program, status) in failing {
                let outcome = try program.run()
                #expect(outcome.status == status, "\(program.arguments): \(outcome)")
                #expect(outcome.errors.split(separator: "\n").count == 1)
            }
            #expect(try Data(contentsOf: URL(filePath: desk.exitPath("again"))) == record)
            #expect(try desk.exitRecord("fresh") == nil && desk.exitRecord("owner") == nil)
            #expect(try desk.guestNames() == ["owner"])
            #expect(try desk.leasehold("status", "owner").succeeded)
        }
    }
}

/// What lies beside a guest while it runs.
@Suite struct GuestFileTests {
    @Test func holderRecordsComeAndGoWithTheLeases() throws {
        let hosts = try TwoHosts.shared
        try ControlDesk.with { desk in
            let disk = try hosts.disk()
            let shared = try hosts.disk()
            let folder = hosts.leaseDirectory + "/.leasehold"
            let own = "\(folder)/\(try leaseName(disk)).json"
            func sharedRecords() throws -> [String] {
                let name = try leaseName(shared)
                let all = try FileManager.default.contentsOfDirectory(atPath: folder)
                return all.filter { $0.hasPrefix(name) }.sorted()
            }
            let uuid = "5ae9a2c0-4f2e-4cfb-8f0e-4e5a7d1f3a55"
            let first = try desk.start(
                "first", options: ["--uuid", uuid, "--shared-disk", shared], disks: [disk])
            let second = try desk.start("second", options: ["--shared-disk", shared], disks: [try hosts.disk()])
            try eventually(within: 10) { try access(own, R_OK) == 0 && sharedRecords().count == 2 }
            let record = try JSONValue(parsing: try Data(contentsOf: URL(filePath: own)))
            #expect(record["disk"]?.string == disk)
            #expect(record["guest"] == "first")
            #expect(record["uuid"]?.string == uuid)
            #expect(record["hostName"] == "host1" && record["hostId"] == 1)
            #expect(record["pid"]?.integer == Int(first.supervisor.pid))
            #expect(record["since"]?.string?.hasSuffix("Z") == true)
            let version = try hosts.holders(of: disk).first?.resource.version
            #expect(record["lver"]?.integer == version.map(Int.init))
            let pids = [first.supervisor.pid, second.supervisor.pid]
            let expected = try pids.map { "\(try leaseName(shared)).1-\($0).json" }.sorted()
            #expect(try sharedRecords() == expected)
            #expect(try desk.leasehold("stop", "first").succeeded)
            #expect(access(own, F_OK) != 0)
            #expect(try sharedRecords() == ["\(leaseName(shared)).1-\(second.supervisor.pid).json"])
            #expect(try desk.leasehold("kill", "second").succeeded)
            #expect(try sharedRecords() == [])
            // Nothing half-written stays either.
            let left = try FileManager.default.contentsOfDirectory(atPath: folder)
            #expect(!left.contains { $0.contains(".new") && $0.hasPrefix((try? leaseName(disk)) ?? "-") })
        }
    }

    @Test func aRunningGuestHasItsFiles() throws {
        try ControlDesk.with { desk in
            let pidFile = desk.scratch.file("child")
            let supervisorFile = desk.scratch.file("supervisor")
            let guest = try desk.start(
                "filed", options: ["--pid-file", pidFile, "--supervisor-pid-file", supervisorFile])
            func text(_ path: String) throws -> String { try String(contentsOfFile: path, encoding: .utf8) }
            try eventually(within: 5) { access(supervisorFile, F_OK) == 0 }
            for path in [pidFile, guest.directory + "/child.pid"] {
                #expect(try text(path) == "\(guest.child.pid)\n")
            }
            for path in [supervisorFile, guest.directory + "/supervisor.pid"] {
                #expect(try text(path) == "\(guest.supervisor.pid)\n")
            }
            func mode(_ path: String) throws -> Int {
                let attributes = try FileManager.default.attributesOfItem(atPath: path)
                return try #require(attributes[.posixPermissions] as? NSNumber).intValue
            }
            #expect(try mode(guest.directory) == 0o700)
            #expect(try mode(guest.control) == 0o600)
            // A file that is just being replaced has a second name for a moment.
            try eventually(within: 5) {
                try FileManager.default.contentsOfDirectory(atPath: guest.directory).sorted()
                    == ["child.pid", "control", "state.json", "supervisor.pid"]
            }
            #expect(try desk.leasehold("stop", "filed").succeeded)
            #expect(access(guest.directory, F_OK) != 0)
            _ = try guest.supervisor.wait(timeout: 5)
            for path in [pidFile, supervisorFile] { #expect(access(path, F_OK) != 0, "\(path)") }
        }
    }

    @Test(arguments: ["path", "abstract"])
    func theServiceManagerIsTold(kind: String) throws {
        try ControlDesk.with { desk in
            let name = kind == "path" ? desk.scratch.file("notify") : "@lh-notify-\(getpid())-\(UUID().uuidString)"
            let socket = try NotifySocket(name)
            var program = try desk.supervised(
                "notifying", command: ["sh", "-c", "echo \"<$NOTIFY_SOCKET>\"; exec sleep 60"])
            program.environment["NOTIFY_SOCKET"] = name
            let supervisor = try desk.scratch.start(program)
            let lines = try socket.receive().split(separator: "\n")
            #expect(lines.contains("READY=1"))
            #expect(lines.contains("MAINPID=\(supervisor.pid)"))
            // The guest runs by then, and has nothing to tell the service manager itself.
            #expect(try desk.leasehold("child-pid", "notifying").succeeded)
            try supervisor.waitForOutput("<>\n")
        }
    }

    @Test func aFailedStartIsNeverReady() throws {
        try ControlDesk.with { desk in
            let socket = try NotifySocket(desk.scratch.file("notify"))
            var program = try desk.supervised("failing", command: [desk.scratch.path])
            program.environment["NOTIFY_SOCKET"] = desk.scratch.file("notify")
            #expect(try program.run().status == .exit(126))
            #expect(throws: TestFailure.self) { try socket.receive(within: 0.3) }
        }
    }
}

/// A socket such as a service manager listens at.
private final class NotifySocket {
    private let descriptor: Int32

    init(_ name: String) throws {
        descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { bytes in
            bytes.copyBytes(from: Array(name.utf8))
            if name.hasPrefix("@") { bytes[0] = 0 }
        }
        let size = socklen_t(MemoryLayout<sa_family_t>.size + name.utf8.count + (name.hasPrefix("@") ? 0 : 1))
        let bound = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(descriptor, $0, size) }
        }
        guard bound == 0 else { throw TestFailure("can't listen at \(name): errno \(errno)") }
    }

    deinit { close(descriptor) }

    func receive(within seconds: Double = 10) throws -> String {
        var wait = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        guard poll(&wait, 1, Int32(seconds * 1000)) == 1 else { throw TestFailure("nothing came in \(seconds) s") }
        var buffer = [UInt8](repeating: 0, count: 4096)
        let count = recv(descriptor, &buffer, buffer.count, 0)
        guard count >= 0 else { throw TestFailure("can't receive: errno \(errno)") }
        return String(decoding: buffer[..<count], as: UTF8.self)
    }
}
