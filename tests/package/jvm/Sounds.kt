package edgedistill.sounds_student

import android.content.Context
import fake.Answers
import java.io.File
import java.nio.ByteBuffer
import java.nio.ByteOrder
import org.json.JSONObject

/** Runs the module of a student for sound on a desktop's JVM; what it prints is JSON. */
object Harness {
    @JvmStatic
    fun main(arguments: Array<String>) {
        val files = arguments.drop(1).map(::File)
        println(if (arguments[0] == "preprocess") preprocess(files[0], arguments[2]) else selfTest(files))
    }

    /** Each NAME.raw (int16 samples) to NAME.int8. */
    private fun preprocess(folder: File, warmUps: String): JSONObject {
        val names = folder.list()!!.filter { it.endsWith(".raw") }.sorted()
        val clips = names.map { samples(File(folder, it).readBytes()) }
        repeat(warmUps.toInt()) { LogMel.int8(LogMel.clip(clips[it % clips.size])) }
        val started = System.nanoTime()
        val made = clips.map { LogMel.int8(LogMel.clip(it)) }
        val seconds = (System.nanoTime() - started) / 1e9
        names.zip(made) { name, bytes -> File(folder, name.removeSuffix(".raw") + ".int8").writeBytes(bytes) }
        return JSONObject().put("inputs", made.size).put("seconds", seconds)
    }

    private fun samples(bytes: ByteArray): ShortArray {
        val made = ShortArray(bytes.size / 2)
        ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN).asShortBuffer().get(made)
        return made
    }

    /** The module's self-test in both runtimes (faked), and the best label of a recording. */
    private fun selfTest(roots: List<File>): JSONObject {
        val context = Context(*roots.toTypedArray())
        val contract = Student.open(context, LiteRt()).contract
        val read = { name: String -> context.assets.open("sounds_student/$name").use { it.readBytes() } }
        val inputs = read("golden-inputs.bin").toList().chunked(contract.inputSize).map { it.toByteArray() }
        val answers = read("golden-answers.bin").toList().chunked(contract.labels.size).map { it.toByteArray() }
        inputs.zip(answers, Answers::tell)
        val result = JSONObject()
        for (runtime in listOf(LiteRt(), OnnxRuntime())) {
            Student.open(context, runtime).use { student ->
                val best = student.classify(samples(read(contract.raw[0].file)), 1).single()
                val report = student.selfTest()
                val row = JSONObject().put("passed", report.passed).put("text", report.toString())
                result.put(runtime.format, row.put("label", best.label).put("raw", report.rawInputs))
            }
        }
        return result
    }
}
