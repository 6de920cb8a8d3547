import Leases
import Testing

@Suite struct LeaseSpellingTests {
    @Test(arguments: [
        ("ls:r1:/dev/sdb:1048576", LeaseMode.exclusive, "/dev/sdb", UInt64(1_048_576)),
        ("ls:r1:/dev/sdb:0:SH", .shared, "/dev/sdb", 0),
        (#"ls:r1:/a\ b\:c\\d:0"#, .exclusive, #"/a b:c\d"#, 0),
    ])
    func sanlocksSpellingIsRead(_ spelling: String, _ mode: LeaseMode, _ path: String, _ offset: UInt64) throws {
        let lease = try LeaseRequest(spelling: spelling)
        #expect(lease.mode == mode)
        #expect(lease.resource == LeaseResource(lockspace: "ls", name: "r1", path: path, offsetBytes: offset))
        #expect(lease.spelling == spelling)
        #expect(lease.disk == nil)
    }

    @Test(arguments: [
        "", "ls", "ls:r", "ls:r:/p", ":r:/p:0", "ls::/p:0", "ls:r:p:0", "ls:r:/p:-1", "ls:r:/p:+1", "ls:r:/p:x",
        "ls:r:/p:0:sh", "ls:r:/p:0:7", "ls:r:/p:0:SH:1", "ls:r:/p:0\\", "ls:r:/p:99999999999999999999",
        String(repeating: "x", count: 49) + ":r:/p:0", "ls:r:/" + String(repeating: "x", count: 1024) + ":0",
        "ls:r:/\u{fffd}:0", "ls:r:/a\0b:0",
    ])
    func whatIsNoLeaseIsRefused(_ spelling: String) {
        #expect(throws: LeaseSpellingError.self) { try LeaseRequest(spelling: spelling) }
    }

    @Test func textsThatOnlyLookTheSameNameDifferentPlaces() {
        let composed = LeaseResource(lockspace: "l", name: "r", path: "/\u{e9}", offsetBytes: 0)
        let decomposed = LeaseResource(lockspace: "l", name: "r", path: "/e\u{301}", offsetBytes: 0)
        #expect(composed != decomposed)
        #expect(Set([composed, decomposed]).count == 2)
    }
}
