// A guest's whole life with the library DomainLock.
//
//     domain-lock-sample PLUGIN NAME UUID DISK SECOND-DISK -- COMMAND [ARG…]
//
// Starts COMMAND as a guest that has DISK, plugs SECOND-DISK in and out, and ends the guest. PLUGIN is sanlock or nop.

import DomainLock
import Foundation
import LockManager

/// What the application says to the emulator's monitor; here it says nothing.
func tellMonitor(_ command: String) throws { print("monitor: \(command)") }

let arguments = CommandLine.arguments
guard arguments.count > 7, arguments[6] == "--" else {
    print("usage: domain-lock-sample PLUGIN NAME UUID DISK SECOND-DISK -- COMMAND [ARG…]")
    exit(64)
}
let (disk, second) = (arguments[4], arguments[5])

do {
    let plugin = try LockManagerPlugin.load(arguments[1])
    let identity = try GuestIdentity(name: arguments[2], uuid: arguments[3])

    // Guest startup: the lock manager says what to start, the application starts it.
    let process = Process()
    let guest = try DomainLock.start(identity, plugin, resources: [.disk(disk)], command: Array(arguments[7...])) {
        process.executableURL = URL(fileURLWithPath: $0[0])
        process.arguments = Array($0.dropFirst())
        try process.run()
        return process.processIdentifier
    }
    print("\(identity.name) runs as process \(try guest.child())")

    // Another program, or this one after its restart, finds the guest again and may do the rest.
    let found = try DomainLock.attach(identity, plugin)

    // Hotplug and unplug: the lease around the device.
    do {
        try found.attachDisk(second) { try tellMonitor("device_add \(second)") }
        try found.detachDisk(second) { try tellMonitor("device_del \(second)") }
    } catch {
        print("hotplug: \(error.message)")
    }

    // Guest shutdown.
    if plugin.name == "nop" { process.terminate() }
    if let exit = try guest.shutdown() { print("\(exit.name) has ended: \(exit.reason.rawValue)") }
    process.waitUntilExit()
    plugin.unload()
} catch let error as DomainLockError {
    print("domain-lock-sample: \(error.message)")
    exit(1)
} catch let error as LockManagerError {
    print("domain-lock-sample: \(error.message)")
    exit(1)
}
