import Foundation
import TestSupport
import Testing

/// Two hosts of one lease directory. Leasehold runs on both, libvirt on the second.
struct LibvirtStage {
    private static let sharedStage = Result { try LibvirtStage() }
    private static let cleanedStage = Result { try LibvirtStage() }

    /// The one of the whole test process.
    static var shared: LibvirtStage { get throws { try sharedStage.get() } }
    /// Another one, for tests that empty its directory: libvirt's starts can fail while that is done.
    static var cleaned: LibvirtStage { get throws { try cleanedStage.get() } }

    let hosts: TwoHosts
    let libvirt: LibvirtHost

    private init() throws {
        hosts = try TwoHosts()
        do {
            libvirt = try LibvirtHost(
                hosts.second.daemon, hostID: 2, leaseDirectory: hosts.leaseDirectory, in: hosts.scratch)
        } catch {
            hosts.end()
            throw error
        }
    }

    /// A place for Leasehold on the host of this number.
    func station(_ hostID: Int, _ scratch: Scratch) throws -> Station {
        try Station(on: hostID == 1 ? hosts.first : hosts.second, of: hosts, scratch)
    }

    /// Defines a libvirt guest that is gone with the scratch directory.
    func define(_ disks: String..., sharing: Bool = false, in scratch: Scratch) throws -> LibvirtGuest {
        let guest = try libvirt.define(disks: disks, sharing: sharing)
        scratch.atEnd { _ = try? libvirt.virsh("destroy", guest.name) }
        return guest
    }

    /// A QEMU that leaves the image's own lock alone: on one machine that would answer before sanlock is asked, which
    /// between two hosts it can't.
    static func emulator(_ disks: String..., sharing: Bool = false) -> [String] {
        let devices = disks.enumerated().flatMap { number, disk in
            [
                "-blockdev", "driver=file,filename=\(disk),node-name=d\(number),locking=off",
                "-device", "virtio-blk-pci,drive=d\(number)\(sharing ? ",share-rw=on" : "")",
            ]
        }
        return QEMU.command(more: devices)
    }

    /// A program that starts as soon as a file is there.
    static func oncePresent(_ path: String, _ program: Program) -> Program {
        program.prefixed(by: ["sh", "-c", #"until [ -e "$0" ]; do :; done; exec "$@""#, path])
    }
}

/// Checks that libvirt refuses to start a guest because of its lock, and leaves nothing of it.
func expectLockError(_ guest: LibvirtGuest, sourceLocation: SourceLocation = #_sourceLocation) throws {
    let outcome = try guest.start()
    #expect(outcome.status == .exit(1), "\(outcome)", sourceLocation: sourceLocation)
    #expect(outcome.errors.contains("Failed to acquire lock"), "\(outcome)", sourceLocation: sourceLocation)
    #expect(try guest.state() == "shut off", sourceLocation: sourceLocation)
    #expect(guest.process == nil, sourceLocation: sourceLocation)
}

/// Checks that libvirt starts a guest, which then holds these disks.
func expectStart(
    _ guest: LibvirtGuest, holding disks: String..., sharing: Bool = false,
    sourceLocation: SourceLocation = #_sourceLocation
) throws {
    try guest.start().expecting(.exit(0))
    let expected = try disks.map { try ExpectedLease($0, in: guest.host.leaseDirectory, shared: sharing) }
    let held = try guest.leases()
    #expect(Set(held.map(ExpectedLease.init)) == Set(expected), sourceLocation: sourceLocation)
    #expect(held.allSatisfy { $0.remarks.isEmpty }, "\(held)", sourceLocation: sourceLocation)
}

/// What must not change of a guest to which nothing is to happen.
struct Wellbeing: Equatable, CustomStringConvertible {
    let process: ProcessIdentity?
    let state: String
    let leases: Set<SanlockStatus.Resource>
    let inodes: [String: UInt64]

    init(_ guest: LibvirtGuest) throws {
        process = guest.process
        state = try guest.state()
        (leases, inodes) = try Self.files(guest.leases())
    }

    init(_ guest: Guest) throws {
        process = guest.running.isRunning ? guest.running.identity : nil
        state = try guest.status()["state"]?.string ?? "unknown"
        (leases, inodes) = try Self.files(guest.leases())
    }

    private static func files(
        _ leases: [SanlockStatus.Resource]
    ) throws -> (Set<SanlockStatus.Resource>, [String: UInt64]) {
        let inodes = leases.map { lease in
            let attributes = try? FileManager.default.attributesOfItem(atPath: lease.path)
            return (lease.path, attributes?[.systemFileNumber] as? UInt64 ?? 0)
        }
        return (Set(leases), Dictionary(inodes) { $1 })
    }

    var description: String { "\(process.map { "\($0)" } ?? "no process"), \(state), \(leases), \(inodes)" }
}
