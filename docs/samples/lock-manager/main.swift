// The README's steps one by one, with the library LockManager.
//
//     lock-manager-sample PLUGIN NAME UUID DISK -- COMMAND [ARG…]
//
// Starts COMMAND as a guest that has DISK to itself, says what is known of it, and ends it. PLUGIN is sanlock or nop.

import Foundation
import LockManager

/// The application's own way of starting a program.
func start(_ command: [String]) throws -> Process {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: command[0])
    process.arguments = Array(command.dropFirst())
    try process.run()
    return process
}

let arguments = CommandLine.arguments
guard arguments.count > 6, arguments[5] == "--" else {
    print("usage: lock-manager-sample PLUGIN NAME UUID DISK -- COMMAND [ARG…]")
    exit(64)
}
let command = Array(arguments[6...])

do {
    // At the application's start. Guests that run already are found again.
    let plugin = try LockManagerPlugin.load(arguments[1])
    if plugin.name == "sanlock" {
        for listed in try plugin.guests() {
            print("there already: \(listed.name), \(listed.status?.state.rawValue ?? "?")")
        }
    }

    // At guest startup.
    let guest = try GuestIdentity(name: arguments[2], uuid: arguments[3])
    let manager = try LockManager(plugin, for: guest)
    try manager.registerResource(.disk(arguments[4]))
    try manager.acquireObject()
    let prefix = try manager.supervisorPath.map { [$0] } ?? []
    let process = try start(prefix + manager.supervisorArguments + command)

    // With nop the process that was started is the guest.
    let child = prefix.isEmpty ? process.processIdentifier : try manager.child(supervisorPid: process.processIdentifier)
    print("\(guest.name) runs as process \(child)")
    for lease in try manager.inquire() { print("holds \(lease.spelling)") }

    // At guest shutdown: the application's own word to the emulator, then the lock manager's.
    if prefix.isEmpty { process.terminate() }
    if let exit = try manager.shutdown() { print("\(exit.name) has ended: \(exit.reason.rawValue)") }
    process.waitUntilExit()
    manager.free()

    // At the application's end.
    plugin.unload()
} catch let error as LockManagerError {
    if case .busy(let disk, let holder) = error { print("busy: \(disk), by \(holder?.guest ?? "a stranger")") }
    print("lock-manager-sample: \(error.message)")
    exit(1)
}
