"""Pictures become one packed uint8 array, and the array becomes batches on the device."""
