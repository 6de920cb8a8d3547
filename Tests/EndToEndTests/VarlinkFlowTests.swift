import Foundation
import TestSupport
import Testing

/// The README's sequences through somebody else's varlink client, on two hosts.
@Suite struct VarlinkFlowTests {
    @Test func everyStepIsACallAway() throws {
        let hosts = try TwoHosts.shared
        let scratch = try Scratch()
        defer { scratch.remove() }
        let here = try Station(on: hosts.first, of: hosts, scratch)
        let there = try Station(on: hosts.second, of: hosts, scratch)
        let (disk, other) = (try hosts.disk(), try hosts.disk())
        let (uri, manager) = ("unix:\(scratch.file("mig"))", scratch.file("m"))
        func command(_ monitor: String, _ more: [String]) -> [String] {
            let drive = ["-drive", "file=\(disk),format=raw,if=virtio,file.locking=off"]
            let identity = ["-uuid", "01234567-89ab-cdef-0123-456789abcdef"]
            return QEMU.command(qmpSocket: monitor, more: drive + identity + more)
        }
        let ours = (scratch.file("q1"), scratch.file("q2"))
        let source = try here.start(
            ["--qmp", ours.0], command(ours.0, ["-qmp", "unix:\(manager),server=on,wait=off"]), named: "web1")
        let target = try there.start(["--qmp", ours.1], command(ours.1, ["-incoming", uri]), named: "web1")
        try eventually(within: 20, "the target being ready: \(target.running.errors)") {
            try target.status()["state"] == "incoming"
        }
        let told = try VarlinkClient.run(
            "readme_flow", "\(here.runDirectory)/guests/web1/control",
            ["\(there.runDirectory)/guests/web1/control", other, manager, uri])
        #expect(told["attached"] == "held" && told["suspended"] == "paused" && told["given back"] == "released")
        let version = try #require(told["version"]?.integer)
        #expect(told["target"]?["state"] == "running")
        #expect(told["target"]?["leases"]?[0]?["version"]?.integer == version + 1)
        #expect(told["source's end"] == "stopped" && told["target's end"] == "stopped")
        _ = try source.running.wait(timeout: 5)
        #expect(try target.running.wait(timeout: 5) == .exit(0))
    }
}
