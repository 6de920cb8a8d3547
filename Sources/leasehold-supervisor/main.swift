import Glibc
import Platform
import Supervision

if let status = NoticeCommand.run(Array(CommandLine.arguments.dropFirst())) { exit(status) }
if let carryOn = CarryOn(Array(CommandLine.arguments.dropFirst())) { end(carryOn.live()) }

var arguments = Array(CommandLine.arguments.dropFirst())
let behindFront = arguments.first == Launch.behindFrontOption ? arguments.dropFirst().first.flatMap { Int32($0) } : nil
if let behindFront {
    arguments.removeFirst(2)
    InheritedDescriptors.closeOnExec(behindFront)
    // It was executed by another name.
    OwnProcess.shownName = CommandLine.arguments[0].split(separator: "/").last.map(String.init) ?? ""
}

// What the caller set, and its descriptors, come first: later nobody could tell them from ours.
let caller = Caller.takeOver()
InheritedDescriptors.plugStandardStreams()
let callerDescriptors = InheritedDescriptors.numbers().filter { $0 != behindFront }

func end(_ status: ExitStatus) -> Never {
    switch status {
    case .code(let code): exit(code)
    case .signal(let signal): OwnProcess.die(of: signal)
    }
}

// The one line of a start that can't be tried goes to standard error, and to the ready descriptor where there is one.
func fail(_ code: Int32, _ text: String, readyDescriptor: Int32? = nil) -> Never {
    let line = text.printable
    try? Files.write(Array("leasehold: \(line)\n".utf8), to: 2)
    if let readyDescriptor { try? Files.write(errorLine(line), to: readyDescriptor) }
    exit(code)
}

do throws(SupervisorOptions.Problem) {
    let options = try SupervisorOptions(arguments, callerDescriptors: callerDescriptors)
    if options.showsHelp || options.showsVersion {
        let text = options.showsHelp ? SupervisorOptions.help : "leasehold-supervisor \(version)\n"
        try? Files.write(Array(text.utf8), to: 1)
        exit(0)
    }
    do throws(Refusal) {
        end(
            try Launch(
                options: options, caller: caller, callerDescriptors: callerDescriptors, behindFront: behindFront
            ).live())
    } catch {
        fail(error.code, error.text, readyDescriptor: options.readyDescriptor)
    }
} catch {
    let ready = SupervisorOptions.readyDescriptor(in: arguments, among: callerDescriptors)
    fail(ExitStatus.Code.usage, error.text, readyDescriptor: ready)
}
