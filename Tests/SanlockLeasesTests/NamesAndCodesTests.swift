import Foundation
import Leases
import TestSupport
import Testing

@testable import SanlockLeases

@Suite struct NamesAndCodesTests {
    @Test(arguments: ["/dev/disk/by-path/x", "/", "", "/var/lib/libvirt/images/a b:c.qcow2", "/\u{e9}", "/e\u{301}"])
    func leaseIsNamedAsLibvirtNamesIt(_ path: String) throws {
        #expect(LeaseName.ofDisk(path) == (try leaseName(path)))
    }

    @Test(arguments: [
        (Int32(-17), LeaseOutcome.heldElsewhere), (-243, .heldElsewhere), (-244, .heldElsewhere),
        (-247, .deadNotExpired), (-11, .beingReleased), (-16, .beingReleased), (-117, .orphaned),
        (-240, .wrongVersion), (-28, .lockspaceGone), (-262, .hostIdInUse), (-2, .leaseFileMissing),
        (-90, .leaseFileUnusable), (-223, .leaseFileUnusable), (-227, .leaseFileUnusable), (-228, .hostIdTooLarge),
        (-111, .daemonUnreachable), (-202, .storageFailed), (-13, .notPermitted), (-9999, .other),
    ])
    func eachCodeHasItsOutcome(_ number: Int32, _ outcome: LeaseOutcome) {
        #expect(SanlockCode(number: number).outcome == outcome)
        #expect(SanlockCode(number: number).explanation.contains(String(number)))
    }
}

@Suite struct HolderRecordTests {
    private let request = LeaseRequest(
        disk: "/d", resource: LeaseResource(lockspace: "l", name: "abc", path: "/leases/abc", offsetBytes: 0),
        mode: .exclusive)

    private func records(_ scratch: Scratch) -> HolderRecords {
        HolderRecords(
            settings: SanlockSettings(
                leaseDirectory: scratch.path, hostId: 3, ioTimeoutSeconds: 1, leaseHosts: 250, fileUser: nil,
                fileGroup: nil))
    }

    @Test func recordIsBelievedOnlyWhereTheLeaseAgrees() throws {
        try withScratch { scratch in
            var holder = LeaseHolder()
            holder.guest = "web1"
            holder.pid = getpid()
            let records = records(scratch)
            records.write([HeldLease(request: request, version: 5)], holder: holder)
            #expect(records.holder(of: request, owner: LeaseOwner(id: 3, generation: 1), version: 5)?.guest == "web1")
            #expect(records.holder(of: request, owner: LeaseOwner(id: 3, generation: 1), version: 6) == nil)
            #expect(records.holder(of: request, owner: LeaseOwner(id: 4, generation: 1), version: 5) == nil)
            var other = request
            other.disk = "/e"
            #expect(records.holder(of: other, owner: LeaseOwner(id: 3, generation: 1), version: 5) == nil)
            records.remove([HeldLease(request: request, version: 5)])
            #expect(records.holder(of: request, owner: LeaseOwner(id: 3, generation: 1), version: 5) == nil)
        }
    }

    @Test func strangeRecordsAreNotBelieved() throws {
        try withScratch { scratch in
            let directory = try scratch.directory(".leasehold")
            let records = records(scratch)
            for text in [
                "", "{", "[]", #"{"disk":"/d","hostId":3,"lver":5}"#, #"{"disk":"/d","hostId":3,"lver":5,"guest":7}"#,
                #"{"disk":"/d","hostId":3,"lver":5,"guest":"a\nb"}"#, String(repeating: " ", count: 70_000) + "{}",
            ] {
                try Data(text.utf8).write(to: URL(fileURLWithPath: "\(directory)/abc.json"))
                #expect(
                    records.holder(of: request, owner: LeaseOwner(id: 3, generation: 1), version: 5) == nil,
                    "\(text.prefix(60))")
            }
        }
    }
}
